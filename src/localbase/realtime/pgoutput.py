"""Decoder of the logical replication messages of Postgres's `pgoutput` plugin, protocol version 1."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Unchanged:
    """Stands for a TOASTed value which an update did not touch and the log therefore does not carry."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
Value = str | None | Unchanged
Row = Mapping[str, Value]


class Operation(StrEnum):
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the log describes it. `identity` names the columns of its replica identity."""

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]
    identity: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One row written by a committed transaction; rows map column names to the text of their values."""

    relation: Relation
    operation: Operation
    commit_time: datetime
    new: Row = field(default_factory=dict)
    old: Row = field(default_factory=dict)
    # The transaction's number without its epoch.
    xid: int = 0


class Decoder:
    """Turns messages into changes; remembers the relations and the transaction they refer to."""

    def __init__(self) -> None:
        self._relations: dict[int, Relation] = {}
        self._commit_time = _EPOCH
        self._xid = 0

    def decode(self, message: bytes) -> Change | None:
        """The change in a message, or None for a message that only says something about others."""
        reader = _Reader(message)
        match reader.char():
            case "B":
                reader.int64()
                self._commit_time = _EPOCH + timedelta(microseconds=reader.int64())
                self._xid = reader.int32()
            case "R":
                relation = _read_relation(reader)
                self._relations[relation.oid] = relation
            case "I" | "U" | "D" as kind:
                return self._read_change(kind, reader)
        return None

    def _read_change(self, kind: str, reader: "_Reader") -> Change:
        relation = self._relations[reader.int32()]
        new: Row = {}
        old: Row = {}
        while reader.more():
            match reader.char():
                case "N":
                    new = _read_row(reader, relation)
                case "O":
                    old = _read_row(reader, relation)
                case "K":
                    row = _read_row(reader, relation)
                    old = {name: row[name] for name in relation.identity}
        return Change(relation, _OPERATIONS[kind], self._commit_time, new, old, self._xid)


_OPERATIONS = {"I": Operation.INSERT, "U": Operation.UPDATE, "D": Operation.DELETE}


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        chunk = self._data[self._at : self._at + size]
        self._at += size
        return chunk

    def char(self) -> str:
        return chr(self.take(1)[0])

    def int8(self) -> int:
        return self.take(1)[0]

    def int16(self) -> int:
        return int(struct.unpack("!H", self.take(2))[0])

    def int32(self) -> int:
        return int(struct.unpack("!I", self.take(4))[0])

    def int64(self) -> int:
        return int(struct.unpack("!q", self.take(8))[0])

    def string(self) -> str:
        end = self._data.index(0, self._at)
        text = self._data[self._at : end].decode()
        self._at = end + 1
        return text


def _read_relation(reader: _Reader) -> Relation:
    oid, schema, name = reader.int32(), reader.string(), reader.string()
    reader.char()  # which replica identity; the flags of the columns say it more precisely
    columns = []
    identity = set()
    for _ in range(reader.int16()):
        in_identity, column = reader.int8(), reader.string()
        reader.take(8)  # type and modifier; the catalogue is asked instead, it knows the types' names
        columns.append(column)
        if in_identity:
            identity.add(column)
    # The schema pg_catalog is sent as an empty string.
    return Relation(oid, schema or "pg_catalog", name, tuple(columns), frozenset(identity))


def _read_row(reader: _Reader, relation: Relation) -> Row:
    count = reader.int16()
    return dict(zip(relation.columns, (_read_value(reader) for _ in range(count)), strict=True))


def _read_value(reader: _Reader) -> Value:
    match reader.char():
        case "n":
            return None
        case "u":
            return UNCHANGED
    return reader.take(reader.int32()).decode()
