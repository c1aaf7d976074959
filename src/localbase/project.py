"""A project on disk: what `supabase/` holds and what its config.toml says about it."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from localbase.errors import LocalbaseError

FOLDER = "supabase"
_MIGRATION = re.compile(r"(?P<version>\d{14})_(?P<name>.*)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of supabase/migrations."""

    path: Path
    version: str
    name: str


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """What the Data API exposes: the section [api] of config.toml."""

    schemas: tuple[str, ...] = ("public", "graphql_public")
    extra_search_path: tuple[str, ...] = ("public", "extensions")
    max_rows: int | None = 1000


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """How people sign up and in: the sections [auth] and [auth.email] of config.toml. Times in seconds."""

    jwt_expiry: int = 3600
    # What tokens name as their issuer; by default the address of the service.
    jwt_issuer: str | None = None
    enable_signup: bool = True
    enable_anonymous_sign_ins: bool = False
    enable_email: bool = True
    # Without confirmations an address counts as confirmed at once. There is no mail here to confirm one with.
    enable_confirmations: bool = False
    minimum_password_length: int = 6
    password_requirements: str = ""
    enable_refresh_token_rotation: bool = True
    refresh_token_reuse_interval: int = 10


@dataclass(frozen=True, slots=True)
class Project:
    """A working directory with a folder `supabase`."""

    workdir: Path
    api: ApiConfig
    migrations: tuple[Migration, ...] = ()
    seeds: tuple[Path, ...] = ()
    auth: AuthConfig = AuthConfig()

    def label(self, path: Path) -> str:
        """A file's name as the Supabase CLI writes it: from the working directory."""
        return path.relative_to(self.workdir).as_posix()


def read_project(workdir: Path) -> Project:
    """Raises LocalbaseError where there is no such folder or its configuration cannot be read."""
    folder = workdir / FOLDER
    if not folder.is_dir():
        raise LocalbaseError(
            f"{workdir} has no folder {FOLDER}.",
            "Name the directory that holds it with --workdir, or make one with `supabase init`.",
        )
    config = _read_config(folder / "config.toml")
    return Project(
        workdir=workdir,
        api=_api(_section(config, "api")),
        migrations=_migrations(folder / "migrations", _section(config, "db", "migrations")),
        seeds=_seeds(folder, _section(config, "db", "seed")),
        auth=_auth(_section(config, "auth")),
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LocalbaseError(f"{path} cannot be read: {error}.", "Correct the file.") from error


def _section(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        config = config.get(name, {})
        if not isinstance(config, Mapping):
            raise LocalbaseError(f"{name} in config.toml must be a table.", "Correct the file.")
    return config


def _api(section: Mapping[str, Any]) -> ApiConfig:
    default = ApiConfig()
    return ApiConfig(
        schemas=tuple(section.get("schemas", default.schemas)),
        extra_search_path=tuple(section.get("extra_search_path", default.extra_search_path)),
        max_rows=section.get("max_rows", default.max_rows),
    )


def _auth(section: Mapping[str, Any]) -> AuthConfig:
    default, email = AuthConfig(), _section(section, "email")
    names = {field.name for field in fields(AuthConfig)} - {"enable_email", "enable_confirmations"}
    given = {name: value for name, value in section.items() if name in names}
    return replace(
        default,
        **given,
        enable_email=email.get("enable_signup", default.enable_email),
        enable_confirmations=email.get("enable_confirmations", default.enable_confirmations),
    )


def _migrations(folder: Path, section: Mapping[str, Any]) -> tuple[Migration, ...]:
    if not section.get("enabled", True) or not folder.is_dir():
        return ()
    found = ((path, _MIGRATION.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    return tuple(Migration(path, match["version"], match["name"]) for path, match in found if match)


def _seeds(folder: Path, section: Mapping[str, Any]) -> tuple[Path, ...]:
    if not section.get("enabled", True):
        return ()
    patterns = [str(pattern) for pattern in section.get("sql_paths", ["./seed.sql"])]
    found = (path for pattern in patterns for path in sorted(folder.glob(pattern.removeprefix("./"))))
    # In the order of the patterns, each file once.
    return tuple(dict.fromkeys(path for path in found if path.is_file()))
