"""The settings that the doctor goes by, and what is wrong with them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from reelbase.doctor.diagnosis import Finding, note, ok, problem
from reelbase.doctor.keys import VARIABLES, KeyKind, look_at_key
from reelbase.errors import ConfigurationError
from reelbase.settings import Settings

AREA = "settings"
_REMEDY = (
    "Set it in the environment or in .env; `supabase status -o env` and `localbase status -o env` print it."
)


class _DirectSettings(BaseSettings):
    """The address of the database, which the Data API's clients do not need."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    database_url: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the settings say. Secrets do not show in the repr."""

    url: str
    keys: dict[KeyKind, str] = field(repr=False)
    timeout: float
    database_url: str | None = field(repr=False)


def look_at_settings() -> tuple[Known | None, list[Finding]]:
    """The settings, unless there is too little of them; and what there is to say about them."""
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        return None, list(_told(error))
    secrets = {
        KeyKind.BACKEND: settings.supabase_service_role_key,
        KeyKind.PUBLIC: settings.supabase_anon_key,
    }
    keys = {kind: secret.get_secret_value() for kind, secret in secrets.items() if secret is not None}
    database_url = _DirectSettings().database_url
    known = Known(
        settings.supabase_url,
        keys,
        settings.reelbase_timeout,
        None if database_url is None else database_url.get_secret_value(),
    )
    wrong = [finding for kind, key in keys.items() for finding in look_at_key(kind, key)]
    return known, [*_missing(keys), *wrong]


def _told(error: ConfigurationError) -> Iterator[Finding]:
    """A finding for each variable that the error names."""
    for sentence in re.split(r"(?<=\.) (?=[A-Z_]{4,} is )", error.message):
        variable, _, words = sentence.partition(" ")
        message = f"{variable} is not set." if words.startswith("is not set") else sentence
        remedy = _REMEDY if words.startswith("is not set") else ".env.example describes every setting."
        yield problem(AREA, message, remedy, subject=variable)


def _missing(keys: dict[KeyKind, str]) -> Iterator[Finding]:
    backend, public = VARIABLES[KeyKind.BACKEND], VARIABLES[KeyKind.PUBLIC]
    if KeyKind.BACKEND not in keys:
        yield problem(AREA, f"{backend} is not set; backends and workers need it.", _REMEDY, subject=backend)
    if KeyKind.PUBLIC not in keys:
        yield note(AREA, f'{public} is not set; only from_env("anon") needs it.', _REMEDY)
    if len(keys) == len(VARIABLES):
        yield ok(AREA, f"SUPABASE_URL, {public} and {backend} are set.")
