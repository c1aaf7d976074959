"""From committed changes to messages: who listens, whose filters hold, who may see the row."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Error, OperationalError

from localbase.realtime.catalog import Table, read_tables
from localbase.realtime.changes import describe, refusal
from localbase.realtime.channel import Channel
from localbase.realtime.commits import visible_to_all
from localbase.realtime.conditions import evaluate
from localbase.realtime.identity import Identity
from localbase.realtime.pgoutput import Change, Operation, Row
from localbase.realtime.protocol import Message
from localbase.realtime.subscriptions import Subscription, Subscriptions
from localbase.realtime.visibility import visible

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Candidate:
    """A change somebody listens to, with those who still are to have it."""

    change: Change
    table: Table
    audience: list[Subscription]

    @property
    def row(self) -> Row:
        return self.change.old if self.change.operation is Operation.DELETE else self.change.new

    @property
    def guarded(self) -> bool:
        """Whether policies decide who may have it. A deleted row is beyond their reach."""
        deleted = self.change.operation is Operation.DELETE
        return self.table.row_security and not deleted and bool(self.table.key)

    def refused(self, identity: Identity) -> bool:
        return refusal(self.change, self.table, identity.role) is not None


async def deliver(
    connection: AsyncConnection, subscriptions: Subscriptions, changes: Sequence[Change]
) -> None:
    """Send the messages about the changes, in their order. Fails only if the database does."""
    candidates = await _candidates(connection, subscriptions, changes)
    by_table: dict[int, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_table[candidate.table.oid].append(candidate)
    if xids := {candidate.change.xid for candidate in candidates if candidate.guarded}:
        await visible_to_all(connection, xids)
    for of_table in by_table.values():
        await _decide(connection, of_table)
    for candidate in candidates:
        try:
            _send(candidate)
        except (ValueError, RecursionError):
            # Postgres stores JSON and numbers which Python cannot write; such a row is nobody else's concern.
            _LOG.exception("a row of %s cannot be sent", candidate.table.name)


async def _candidates(
    connection: AsyncConnection, subscriptions: Subscriptions, changes: Sequence[Change]
) -> list[_Candidate]:
    heard = [(change, audience) for change in changes if (audience := subscriptions.covering(change))]
    if not heard:
        return []
    oids = {change.relation.oid for change, _ in heard}
    roles = {subscription.identity.role for _, audience in heard for subscription in audience}
    tables = await read_tables(connection, oids, roles)
    return [
        _Candidate(change, tables[change.relation.oid], audience)
        for change, audience in heard
        if change.relation.oid in tables
    ]


async def _decide(connection: AsyncConnection, candidates: Sequence[_Candidate]) -> None:
    """Reduce the audience of each change of one table to those who are to have it."""
    try:
        await _keep_matching(connection, candidates)
        await _keep_visible(connection, candidates)
    except OperationalError:
        raise
    except Error:
        # What Postgres cannot decide, as after a column's type has changed, nobody gets.
        _LOG.exception("changes of %s were not delivered", candidates[0].table.name)
        for candidate in candidates:
            candidate.audience = []


async def _keep_matching(connection: AsyncConnection, candidates: Sequence[_Candidate]) -> None:
    conditions = {
        c: None for candidate in candidates for s in candidate.audience for c in s.binding.conditions
    }
    if not conditions:
        return
    order = list(conditions)
    held = await evaluate(connection, candidates[0].table, order, [candidate.row for candidate in candidates])
    for candidate, tested in zip(candidates, held, strict=True):
        true = {condition for condition, holds in zip(order, tested, strict=True) if holds}
        candidate.audience = [s for s in candidate.audience if true.issuperset(s.binding.conditions)]


async def _keep_visible(connection: AsyncConnection, candidates: Sequence[_Candidate]) -> None:
    guarded = [candidate for candidate in candidates if candidate.guarded]
    identities = {s.identity: None for candidate in guarded for s in candidate.audience}
    for identity in identities:
        rows = [candidate.row for candidate in guarded]
        seen = await visible(connection, guarded[0].table, identity, rows)
        for at, candidate in enumerate(guarded):
            if at not in seen and not candidate.refused(identity):
                candidate.audience = [s for s in candidate.audience if s.identity != identity]


def _send(candidate: _Candidate) -> None:
    """One message per channel and selection of columns, with the ids of all its bindings."""
    ids: dict[tuple[Channel, tuple[str, ...], str], list[int]] = defaultdict(list)
    for subscription in candidate.audience:
        key = subscription.channel, subscription.binding.select, subscription.identity.role
        ids[key].append(subscription.binding_id)
    data: dict[tuple[tuple[str, ...], str], dict[str, Any]] = {}
    for (channel, select, role), binding_ids in ids.items():
        if (select, role) not in data:
            data[select, role] = describe(candidate.change, candidate.table, role, select)
        channel.send(_message(channel, data[select, role], binding_ids))


def _message(channel: Channel, data: dict[str, Any], ids: list[int]) -> Message:
    if channel.join.legacy:
        return Message(channel.topic, data["type"], data)
    return Message(channel.topic, "postgres_changes", {"data": data, "ids": ids})
