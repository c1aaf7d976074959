"""What can be chosen for a transaction, and the statements that follow from it."""

import json
from dataclasses import dataclass
from typing import Literal, get_args

from psycopg import sql

from reelbase.execution.telemetry import HEADER
from reelbase.transactions.identity import Identity

Isolation = Literal["read committed", "repeatable read", "serializable"]

DEFAULT_TIMEOUT = 5.0
_HAS_TRANSACTION_TIMEOUT = 17_00_00


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout` is seconds from begin to end; `isolation` the level, the database's own unless given."""

    timeout: float = DEFAULT_TIMEOUT
    isolation: Isolation | None = None

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"timeout must be more than 0 seconds, not {self.timeout}")
        if self.isolation is not None and self.isolation not in get_args(Isolation):
            raise ValueError(f"isolation must be one of {', '.join(get_args(Isolation))}")

    def begin(self, identity: Identity, correlation_id: str, server_version: int) -> sql.Composed:
        """Begin, and become the caller, in one message: every setting ends with the transaction, as a pooler
        in transaction mode wants it."""
        milliseconds = str(max(1, round(self.timeout * 1000)))
        settings = {
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "request.jwt.claims": _compact(identity.claims),
            # Nobody has made a request here, but what a call would carry is seen as there.
            "request.headers": _compact({HEADER.lower(): correlation_id}),
            "role": identity.role,
        }
        if server_version >= _HAS_TRANSACTION_TIMEOUT:
            settings["transaction_timeout"] = milliseconds
        level = sql.SQL("isolation level " + self.isolation if self.isolation else "")
        made = sql.SQL(", ").join(
            sql.SQL("pg_catalog.set_config({}, {}, true)").format(name, value)
            for name, value in settings.items()
        )
        return sql.SQL("begin {}; select {}").format(level, made)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
