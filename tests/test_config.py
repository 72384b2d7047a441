"""The settings: every variable, its default, its mistakes."""

import re
from pathlib import Path

import pytest

from ouija_es.config import ConfigError, Settings, read_settings

CONTRACT_DEFAULTS = {
    "ENVIRONMENT": "development",
    "HOST": "127.0.0.1",
    "PORT": 3000,
    "DATABASE_URL": "file:./data/ouija.db",
    "GROQ_API_KEY": None,
    "GROQ_URL": "https://api.groq.com/openai/v1",
    "GROQ_MODEL": "llama-3.1-8b-instant",
    "GROQ_TIMEOUT_SECONDS": 3,
    "GROQ_MAX_ATTEMPTS": 2,
    "GROQ_REQUESTS_PER_MINUTE": 30,
    "GROQ_TOKENS_PER_MINUTE": 6000,
    "OLLAMA_URL": "http://localhost:11434",
    "OLLAMA_MODEL": "qwen2.5:0.5b",
    "OLLAMA_TIMEOUT_SECONDS": 4,
    "OLLAMA_MAX_ATTEMPTS": 2,
    "GROQ_CONCURRENCY": 64,
    "OLLAMA_CONCURRENCY": 2,
    "ANSWER_DEADLINE_SECONDS": 8,
    "BREAKER_FAILURES": 5,
    "BREAKER_OPEN_SECONDS": 30,
    "CLIENT_REQUESTS_PER_MINUTE": 60,
    "PROXY_HOPS": 0,
    "LOADTEST_TOKEN": None,
    "CORS_ORIGINS": "",
    "AUDIT_TOKEN": None,
    "ERASURE_TOKEN": None,
    "METRICS_TOKEN": None,
    "VAULT_KEY": None,
    "LEDGER_KEY": None,
    "RETENTION_DAYS": 0,
    "COMMIT": "",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": None,
    "OTEL_EXPORTER_OTLP_ENDPOINT": None,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": None,
    "OTEL_SDK_DISABLED": False,
}
GOOD_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONTRACT_DEFAULTS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def test_the_defaults_are_the_contract_s() -> None:
    settings = read_settings()

    assert {name.upper() for name in Settings.model_fields} == CONTRACT_DEFAULTS.keys()
    assert {name.upper(): getattr(settings, name) for name in Settings.model_fields} == CONTRACT_DEFAULTS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("HOST", ""),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("DATABASE_URL", "mysql://x"),
        ("DATABASE_URL", "file:"),
        ("DATABASE_URL", "file::memory:"),
        ("DATABASE_URL", "file:x?mode=memory"),
        ("DATABASE_URL", "postgresql://localhost/ouija"),
        ("GROQ_API_KEY", "gsk with space"),
        ("GROQ_URL", "ftp://x"),
        ("GROQ_URL", "http://a b"),
        ("OLLAMA_URL", "http://a^b"),
        ("OLLAMA_URL", "http://1.2.3.4.5"),
        ("GROQ_URL", ""),
        ("GROQ_MODEL", ""),
        ("GROQ_TIMEOUT_SECONDS", "0"),
        ("GROQ_TIMEOUT_SECONDS", "nan"),
        ("GROQ_TIMEOUT_SECONDS", "inf"),
        ("GROQ_MAX_ATTEMPTS", "0"),
        ("GROQ_MAX_ATTEMPTS", "1.5"),
        ("OLLAMA_URL", "localhost:11434"),
        ("OLLAMA_URL", "http://localhost:99999"),
        ("ANSWER_DEADLINE_SECONDS", "-8"),
        ("CLIENT_REQUESTS_PER_MINUTE", "-1"),
        ("PROXY_HOPS", "-1"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/path"),
        ("AUDIT_TOKEN", "short"),
        ("AUDIT_TOKEN", ""),
        ("METRICS_TOKEN", "ñ" * 20),
        ("VAULT_KEY", "AAAA"),
        ("VAULT_KEY", "!" * 43),
        ("RETENTION_DAYS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        read_settings()

    (mistake,) = caught.value.mistakes
    assert re.fullmatch(rf"{name}: .{{10,}}", mistake)


def test_all_mistakes_are_told_at_once_and_never_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "AUDIT_TOKEN", "VAULT_KEY", "GROQ_URL"):
        monkeypatch.setenv(name, "p1anted")

    with pytest.raises(ConfigError) as caught:
        read_settings()

    assert [mistake.partition(":")[0] for mistake in caught.value.mistakes] == [
        "PORT",
        "GROQ_URL",
        "AUDIT_TOKEN",
        "VAULT_KEY",
    ]
    assert "p1anted" not in str(caught.value)


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    monkeypatch.setenv("AUDIT_TOKEN_FILE", str(tmp_path / "token"))

    settings = read_settings()

    assert settings.audit_token is not None
    assert settings.audit_token.get_secret_value() == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file-000")
    monkeypatch.setenv("AUDIT_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AUDIT_TOKEN", "from-the-environment")

    settings = read_settings()

    assert settings.audit_token is not None
    assert settings.audit_token.get_secret_value() == "from-the-environment"


def test_an_unreadable_file_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAULT_KEY_FILE", str(tmp_path / "not-there"))

    with pytest.raises(ConfigError, match=r"VAULT_KEY_FILE: the file cannot be read"):
        read_settings()


def test_only_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORT_FILE", str(tmp_path / "not-there"))

    assert read_settings().port == 3000


@pytest.mark.parametrize("key", [GOOD_KEY, GOOD_KEY + "="])
def test_a_key_is_base64url_with_or_without_padding(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("VAULT_KEY", key)

    assert read_settings().vault_key is not None


@pytest.mark.parametrize(
    ("url", "path"), [("file:./a/b.db", "a/b.db"), ("file:/a/b.db", "/a/b.db"), ("sqlite:////a/b.db", "/a/b.db")]
)
def test_a_database_url_names_a_file(monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    assert read_settings().database_path == Path(path)


def test_an_empty_groq_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "")

    assert read_settings().groq_api_key is None


def test_logs_are_json_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().effective_log_format == "console"
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert read_settings().effective_log_format == "json"
