"""The settings: every variable of the environment the service knows, read once, at start.

A secret may also come from a file: `NAME_FILE=/run/secrets/…` beside or instead of `NAME`.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import Url
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ouija_es.errors import OuijaError

TOKEN_LENGTH = 16
KEY_BYTES = 32


class ConfigError(OuijaError):
    """The environment holds mistakes: one line each, never the value of a secret."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def _token(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if len(value) < TOKEN_LENGTH or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"must be at least {TOKEN_LENGTH} printable ASCII characters without spaces")
    return secret


def _api_key(secret: SecretStr) -> SecretStr | None:
    value = secret.get_secret_value()
    if not value:
        return None
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be printable ASCII without spaces")
    return secret


def _key(secret: SecretStr) -> SecretStr:
    key_bytes(secret)
    return secret


def key_bytes(secret: SecretStr) -> bytes:
    """The 32 bytes of a key given as base64url, with or without padding. Raises ValueError."""
    text = secret.get_secret_value().rstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in base64url (make one with: ouija-es keys --new)")
    return raw


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        Url(value)  # reads it as the providers' HTTP client will
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be an http:// or https:// URL")
    return value.rstrip("/")


def _optional_http_url(value: str) -> str:
    return _http_url(value) if value else value


def _database_url(value: str) -> str:
    if value.startswith(("postgres://", "postgresql://")):
        raise ValueError("postgresql:// is not supported by this version; allowed: file:PATH, sqlite:///PATH")
    if sqlite_path(value) is None:
        raise ValueError("must be file:PATH or sqlite:///PATH")
    return value


def sqlite_path(url: str) -> Path | None:
    """The file that `file:PATH` or `sqlite:///PATH` names; None for anything else."""
    for prefix in ("sqlite:///", "file:"):
        if url.startswith(prefix):
            path = url.removeprefix(prefix)
            return None if path in ("", ".") or path.endswith("/") or "?" in path or ":memory:" in path else Path(path)
    return None


def _origins(value: str) -> str:
    for origin in filter(None, (part.strip() for part in value.split(","))):
        if origin != "*":
            _http_url(origin)
            if urlsplit(origin).path:
                raise ValueError("must be origins (scheme://host:port) or *, separated by commas")
    return value


ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]
Token = Annotated[SecretStr, AfterValidator(_token)]
Key = Annotated[SecretStr, AfterValidator(_key)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
OptionalHttpUrl = Annotated[str, AfterValidator(_optional_http_url)]
Seconds = Annotated[PositiveFloat, Field(allow_inf_nan=False, le=86_400)]
WholeNumber = Annotated[int, Field(ge=0)]


def _later(text: str) -> dict[str, Any]:
    """Marks a variable that is parsed and checked, but has no effect yet."""
    return {"later": text}


class Settings(BaseSettings):
    """All of the environment. Raises pydantic's ValidationError; `read_settings` words it for an operator."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=False)

    environment: Literal["development", "test", "production"] = Field(
        "development", description="`development`, `test` or `production`; shown by /health"
    )
    host: Annotated[str, Field(min_length=1)] = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(3000, description="port to listen on; 0 takes a free one")
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "file:./data/ouija.db", description="`file:PATH` or `sqlite:///PATH`"
    )
    groq_api_key: ApiKey | None = Field(None, description="without it the Groq tier is skipped (`not_configured`)")
    groq_url: HttpUrl = Field(
        "https://api.groq.com/openai/v1", description="chat completions are POSTed to `GROQ_URL/chat/completions`"
    )
    groq_model: Annotated[str, Field(min_length=1)] = Field("llama-3.1-8b-instant", description="the model Groq runs")
    groq_timeout_seconds: Seconds = Field(3, description="per attempt")
    groq_max_attempts: PositiveInt = Field(2, description="tries per question")
    groq_requests_per_minute: PositiveInt = Field(30, description="never more than this in any sliding minute")
    groq_tokens_per_minute: PositiveInt = Field(6000, description="never more than this in any sliding minute")
    ollama_url: OptionalHttpUrl = Field(
        "http://localhost:11434", description="empty switches the Ollama tier off (`not_configured`)"
    )
    ollama_model: Annotated[str, Field(min_length=1)] = Field("qwen2.5:0.5b", description="the model Ollama runs")
    ollama_timeout_seconds: Seconds = Field(4, description="per attempt")
    ollama_max_attempts: PositiveInt = Field(2, description="tries per question")
    groq_concurrency: PositiveInt = Field(64, description="calls in flight; above it the tier is skipped (`saturated`)")
    ollama_concurrency: PositiveInt = Field(
        2, description="calls in flight; above it the tier is skipped (`saturated`)"
    )
    answer_deadline_seconds: Seconds = Field(8, description="over the whole chain")
    breaker_failures: PositiveInt = Field(5, description="failures that open a provider's breaker")
    breaker_open_seconds: Seconds = Field(30, description="how long a breaker stays open")
    client_requests_per_minute: WholeNumber = Field(60, description="per client address on POST; `0` switches it off")
    proxy_hops: WholeNumber = Field(
        0,
        description="reverse proxies in front: the client address is that many entries from the right of "
        "`X-Forwarded-For`",
    )
    loadtest_token: Token | None = Field(None, description="requests with it as bearer are not limited per client")
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field("", description="comma-separated origins, or `*`")
    audit_token: Token | None = Field(None, description="without it the audit API is off (404)")
    erasure_token: Token | None = Field(None, description="for erasing by an operator")
    metrics_token: Token | None = Field(None, description="if set, /metrics and /dashboard want it")
    vault_key: Key | None = Field(
        None, description="32 bytes, base64url; without it a key file (0600) is made beside the database"
    )
    ledger_key: Key | None = Field(
        None,
        description="32 bytes, base64url; without it a key file (0600) is made beside the database",
    )
    retention_days: WholeNumber = Field(
        0, description="texts are erased so many days after their session's last question; `0` keeps them for ever"
    )
    commit: Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{0,64}$")] = Field(
        "", description="the commit that runs, shown by /health; by default what Koyeb or Railway say they deployed"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["json", "console"] | None = Field(
        None, description="default: `json` in production, else `console`"
    )
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None, description="where traces are exported to, over OTLP/HTTP: POSTed to its `/v1/traces`"
    )
    otel_exporter_otlp_traces_endpoint: HttpUrl | None = Field(
        None, description="where traces are exported to instead: the whole URL"
    )
    otel_sdk_disabled: bool = Field(default=False, description="`true` switches traces off whatever else is set")

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        path = sqlite_path(self.database_url)
        if path is None:
            raise AssertionError("DATABASE_URL was validated to name a file")
        return path

    @property
    def effective_log_format(self) -> Literal["json", "console"]:
        """LOG_FORMAT, or its default for the environment."""
        return self.log_format or ("json" if self.environment == "production" else "console")

    @property
    def traces_endpoint(self) -> str | None:
        """The URL that spans are POSTed to; None if nothing is traced."""
        if self.otel_sdk_disabled:
            return None
        if self.otel_exporter_otlp_traces_endpoint is not None:
            return self.otel_exporter_otlp_traces_endpoint
        base = self.otel_exporter_otlp_endpoint
        return None if base is None else f"{base}/v1/traces"

    @property
    def allowed_origins(self) -> list[str]:
        """CORS_ORIGINS as a list."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then files of secrets, then what the platform tells; no .env file and nothing else."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, SecretFiles(settings_cls), Platform(settings_cls)


class SecretFiles(PydanticBaseSettingsSource):
    """Reads `NAME` of a secret from the file that `NAME_FILE` names, without its last newline."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The secret's text if a file is named for it; `UNREADABLE` if that cannot be read."""
        path = os.environ.get(f"{field_name.upper()}_FILE")
        if path is None or not is_secret(field):
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError):
            # An unreadable file must stop the start; the marker fails validation below with the file's variable named.
            return UNREADABLE, field_name, False

    def __call__(self) -> dict[str, Any]:
        """All secrets that come from files."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Platform(PydanticBaseSettingsSource):
    """Reads COMMIT from the variable in which the platform that deployed it names the commit."""

    VARIABLES = ("KOYEB_GIT_SHA", "RAILWAY_GIT_COMMIT_SHA")

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The commit, for the field of that name; else None."""
        del field
        told = [os.environ[name] for name in self.VARIABLES if os.environ.get(name)] if field_name == "commit" else []
        return (told[0] if told else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The commit, if a platform tells it."""
        commit, _, _ = self.get_field_value(self.settings_cls.model_fields["commit"], "commit")
        return {} if commit is None else {"commit": commit}


UNREADABLE = object()


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is a secret, and so may come from a file."""
    return "SecretStr" in str(field.annotation)


def read_settings() -> Settings:
    """The settings from the environment. Raises ConfigError with every mistake."""
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigError([_mistake(details) for details in error.errors(include_input=False)]) from None


def _mistake(details: Mapping[str, Any]) -> str:
    name = str(details["loc"][0]).upper()
    message = str(details["msg"]).removeprefix("Value error, ")
    field = Settings.model_fields[name.lower()]
    if is_secret(field) and details["type"] == "string_type":
        return f"{name}_FILE: the file cannot be read as UTF-8 text"
    return f"{name}: {message[0].lower()}{message[1:]}"
