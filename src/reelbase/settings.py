"""Settings, from the environment and a `.env` file in the working directory; see `.env.example`."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from reelbase.errors import ConfigurationError
from reelbase.realtime.endpoint import LivePath

if TYPE_CHECKING:
    from reelbase.execution.signing import SigningKey

KeyName = Literal["service_role", "anon"]


class Settings(BaseSettings):
    """What a client needs to know. Environment variables win over `.env`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    supabase_url: str
    supabase_anon_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_jwt_secret: SecretStr | None = None
    reelbase_signing_key: SecretStr | None = None
    reelbase_signing_key_id: str | None = None
    reelbase_slow_call: Annotated[float, Field(ge=0)] = 1.0
    reelbase_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    reelbase_cache: SecretStr = SecretStr("off")
    """`off`, `memory`, or the address of a Redis, which may hold a password."""
    reelbase_live: LivePath = "postgres_changes"
    database_url: SecretStr | None = None
    reelbase_pool_size: Annotated[int, Field(ge=1, le=100)] = 4
    reelbase_transaction_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    reelbase_webhook_secret: SecretStr | None = None
    """What `reelbase listen` signs webhooks with: one or several, separated by spaces."""

    @field_validator("supabase_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        try:
            address = AnyHttpUrl(value)
        except ValidationError:
            address = None
        if address is None or address.path not in {None, "/"} or address.query is not None:
            raise ValueError("must be a project's web address without a path, such as http://127.0.0.1:54321")
        return value.rstrip("/")

    @classmethod
    def load(cls) -> "Settings":
        """Read and check all settings. Raises ConfigurationError, naming every setting that is wrong."""
        try:
            return cls.model_validate({})
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None

    def key(self, name: KeyName) -> str:
        """The API key of that role. Raises ConfigurationError when it is not set."""
        secret = self.supabase_service_role_key if name == "service_role" else self.supabase_anon_key
        if secret is None:
            raise ConfigurationError(_missing(f"SUPABASE_{name.upper()}_KEY"))
        return secret.get_secret_value()

    def signing_key(self) -> "SigningKey | None":
        """What signs watch tokens: the private key, else the JWT secret. Raises ConfigurationError if it is
        no such thing."""
        from reelbase.execution.signing import SigningKey  # noqa: PLC0415  # most programs sign nothing

        if self.reelbase_signing_key is not None:
            return SigningKey.from_private_key(
                self.reelbase_signing_key.get_secret_value(), self.reelbase_signing_key_id
            )
        if self.supabase_jwt_secret is not None:
            return SigningKey.from_secret(self.supabase_jwt_secret.get_secret_value())
        return None


def _missing(variable: str) -> str:
    return (
        f"{variable} is not set. Set it in the environment or in .env "
        "(`supabase status -o env` and `localbase status -o env` print it; .env.example lists all)."
    )


def _explain(error: ValidationError) -> str:
    return " ".join(
        _missing(_variable(problem["loc"]))
        if problem["type"] == "missing"
        # The value itself is not shown: it may be a secret.
        else f"{_variable(problem['loc'])} is wrong: {problem['msg'].removeprefix('Value error, ')}."
        for problem in error.errors(include_input=False, include_url=False)
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper()
