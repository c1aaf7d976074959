"""Who is present on one topic, and the differences to announce when that changes."""

import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

Metas = dict[str, dict[str, list[dict[str, Any]]]]

_references = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    meta: dict[str, Any]
    payload: dict[str, Any]


class Presence:
    """One entry per member; members with the same key are listed together."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def state(self) -> Metas:
        state: Metas = {}
        for entry in self._entries.values():
            state.setdefault(entry.key, {"metas": []})["metas"].append(entry.meta)
        return state

    def track(self, member: Hashable, key: str, payload: dict[str, Any]) -> dict[str, Metas] | None:
        """The difference to announce, or None if the member already says the same."""
        old = self._entries.get(member)
        if old and old.payload == payload:
            return None
        meta = {"phx_ref": f"F{next(_references):011x}"}
        if old:
            meta["phx_ref_prev"] = old.meta["phx_ref"]
        entry = _Entry(key, payload | meta, payload)
        self._entries[member] = entry
        return _difference(joins=entry, leaves=old)

    def untrack(self, member: Hashable) -> dict[str, Metas] | None:
        """The difference to announce, or None if the member was not tracked."""
        entry = self._entries.pop(member, None)
        return _difference(leaves=entry) if entry else None


def _difference(joins: _Entry | None = None, leaves: _Entry | None = None) -> dict[str, Metas]:
    return {"joins": _metas(joins), "leaves": _metas(leaves)}


def _metas(entry: _Entry | None) -> Metas:
    return {entry.key: {"metas": [entry.meta]}} if entry else {}
