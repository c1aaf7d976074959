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


class _Optional(BaseSettings):
    """What is looked at even where the client's own settings cannot be loaded."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True
    )

    supabase_anon_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
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
    optional = _Optional()
    secrets = {
        KeyKind.BACKEND: optional.supabase_service_role_key,
        KeyKind.PUBLIC: optional.supabase_anon_key,
    }
    keys = {kind: secret.get_secret_value() for kind, secret in secrets.items() if secret is not None}
    wrong = [finding for kind, key in keys.items() for finding in look_at_key(kind, key)]
    findings = [*_missing(keys), *wrong]
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        return None, [*_told(error), *findings]
    known = Known(
        settings.supabase_url,
        keys,
        settings.reelbase_timeout,
        None if optional.database_url is None else optional.database_url.get_secret_value(),
    )
    if not findings:
        findings = [ok(AREA, f"SUPABASE_URL, {' and '.join(VARIABLES[kind] for kind in keys)} are set.")]
    return known, findings


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
