"""The operating system user that runs Postgres.

Postgres refuses to run as root. Where localbase is root (containers, CI) another user runs the server; an
ordinary user runs it as itself, and then there is no account here.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from localbase.errors import LocalbaseError

VARIABLE = "LOCALBASE_POSTGRES_USER"
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Another user, as whom a child process is started."""

    name: str
    uid: int
    gid: int

    @classmethod
    def needed(cls) -> Self | None:
        """The account to run Postgres with, None where the current user will do."""
        if os.geteuid() != 0:
            return None
        chosen = os.environ.get(VARIABLE)
        for name in (chosen,) if chosen else _CANDIDATES:
            if (account := cls._named(name)) is not None:
                return account
        raise LocalbaseError(
            f"Postgres cannot run as root, and there is no user named {chosen or ' or '.join(_CANDIDATES)}.",
            f"Name an existing user in {VARIABLE}.",
        )

    @classmethod
    def _named(cls, name: str) -> Self | None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        if entry.pw_uid == 0:
            raise LocalbaseError(f"Postgres cannot run as {name}.", f"Name another user in {VARIABLE}.")
        return cls(name, entry.pw_uid, entry.pw_gid)


def process_options(account: Account | None) -> dict[str, Any]:
    """What `subprocess` needs to start a child as this account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def can_run(account: Account | None, program: Path) -> bool:
    """Whether the account reaches and may execute a program: tried, since modes do not tell everything."""
    try:
        subprocess.run(  # noqa: S603  the program is the Postgres installation's own
            [program, "--version"], check=True, capture_output=True, cwd="/", **process_options(account)
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def can_enter(account: Account | None, directory: Path) -> bool:
    """Whether the account can reach a directory that belongs to it."""
    try:
        subprocess.run(  # noqa: S603  a fixed command
            ["/bin/sh", "-c", 'cd "$0"', directory],
            check=True,
            capture_output=True,
            cwd="/",
            **process_options(account),
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def hand_over(account: Account | None, path: Path) -> None:
    """Give a file or directory to the account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
