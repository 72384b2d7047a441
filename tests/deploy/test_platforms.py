"""What the platforms are told is in their own schema, and fits the service."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import koyeb.api.models as koyeb
import pytest
import yaml
from pydantic import BaseModel

from ouija_es.config import Settings, is_secret

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "koyeb.yaml").read_text(encoding="utf-8"))
DEFINITION: dict[str, Any] = COMPOSE["services"][0]["definition"]
ENV: dict[str, str] = {entry["key"]: entry["value"] for entry in DEFINITION["env"]}


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The models named in a field's annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def unknown_keys(value: Any, model: type[BaseModel], path: str = "") -> list[str]:
    """Keys the model does not have; the platform would silently ignore them."""
    if isinstance(value, list):
        return [key for number, item in enumerate(value) for key in unknown_keys(item, model, f"{path}[{number}]")]
    if not isinstance(value, dict):
        return []
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    found = [f"{path}.{key}" for key in value if key not in fields]
    for key in value.keys() & fields.keys():
        for inner in models_of(fields[key].annotation):
            found += unknown_keys(value[key], inner, f"{path}.{key}")
    return found


def test_koyeb_yaml_is_what_koyeb_s_models_take() -> None:
    compose = koyeb.CreateCompose.from_dict(COMPOSE)

    assert compose is not None
    assert unknown_keys(COMPOSE, koyeb.CreateCompose) == []


def test_a_key_that_koyeb_would_ignore_is_found() -> None:
    odd = {"services": [{"definition": {"health_checks": [{"initial_delay": 60}]}}]}

    assert unknown_keys(odd, koyeb.CreateCompose) == [".services[0].definition.health_checks[0].initial_delay"]


def test_koyeb_yaml_asks_for_the_free_instance_and_one_writer() -> None:
    assert DEFINITION["instance_types"] == [{"type": "free"}]
    assert set(DEFINITION["regions"]) <= {"fra", "was"}
    assert DEFINITION["scalings"] == [{"min": 0, "max": 1}]
    assert "volumes" not in DEFINITION


def test_port_route_and_health_check_agree() -> None:
    port = int(ENV["PORT"])
    (check,) = DEFINITION["health_checks"]

    assert DEFINITION["ports"] == [{"port": port, "protocol": "http"}]
    assert DEFINITION["routes"] == [{"path": "/", "port": port}]
    assert (check["http"]["port"], check["http"]["path"]) == (port, "/health")
    assert 5 <= check["grace_period"] <= 300
    assert 30 <= check["interval"] <= 300


def test_the_variables_are_settings_and_secrets_come_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert ENV.keys() <= fields.keys()
    for name, value in ENV.items():
        if is_secret(fields[name]):
            assert value == f"{{{{ secret.{name} }}}}"
            monkeypatch.setenv(name, "a-secret-of-the-tests")
        else:
            monkeypatch.setenv(name, value)

    settings = Settings()

    assert settings.environment == "production"
    assert settings.proxy_hops == 1


def test_the_cli_has_one_variable_to_fill_in() -> None:
    assert re.findall(r"\$\w+", json.dumps(COMPOSE)) == ["$OUIJA_REPOSITORY"]


def test_railway_json_has_only_keys_and_values_of_railway_s_config_as_code() -> None:
    config = json.loads((ROOT / "railway.json").read_text(encoding="utf-8"))

    assert config.keys() == {"$schema", "build", "deploy"}
    assert config["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
    assert config["deploy"].keys() <= {
        "healthcheckPath", "healthcheckTimeout", "numReplicas", "restartPolicyType", "restartPolicyMaxRetries"
    }  # fmt: skip
    assert config["deploy"]["numReplicas"] == 1
    assert config["deploy"]["healthcheckPath"] == "/health"
