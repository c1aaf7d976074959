"""Database changes, as the official client receives them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

Database = psycopg.AsyncConnection
Listen = Callable[..., Awaitable[Any]]
ALICE = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"


async def test_insert_update_delete(database: Database, listen: Listen) -> None:
    listener = await listen()

    await database.execute("insert into notes values (1, null, 'one')")
    inserted = await listener.next()
    await database.execute("update notes set body = 'uno'")
    updated = await listener.next()
    await database.execute("delete from notes")
    deleted = await listener.next()

    assert (inserted["type"], inserted["record"]) == ("INSERT", {"id": 1, "owner": None, "body": "one"})
    assert (updated["type"], updated["record"]["body"]) == ("UPDATE", "uno")
    assert (deleted["type"], deleted["old_record"]) == ("DELETE", {"id": 1})


async def test_a_guarded_row_that_is_gone_at_delivery_is_seen_by_nobody(
    database: Database, listen: Listen
) -> None:
    listener = await listen()

    await database.execute("begin; insert into notes values (1, null, ''); delete from notes; commit")

    assert (await listener.next())["type"] == "DELETE"


async def test_changes_come_in_the_order_of_their_statements(database: Database, listen: Listen) -> None:
    listener = await listen()

    await database.execute("insert into notes select n, null, 'x' from generate_series(1, 500) n")

    assert [(await listener.next())["record"]["id"] for _ in range(500)] == list(range(1, 501))


async def test_every_commit_of_a_quick_writer_passes_the_policies(
    database: Database, listen: Listen, token: Callable[..., str]
) -> None:
    """What is flushed is sent before other sessions see it; a policy asked in between would find no row."""
    listener = await listen(token(ALICE))

    for number in range(1500):
        await database.execute("insert into notes values (%s, %s, '')", [number, ALICE])

    assert [(await listener.next())["record"]["id"] for _ in range(1500)] == list(range(1500))


async def test_what_is_rolled_back_never_comes(database: Database, listen: Listen) -> None:
    listener = await listen()

    await database.execute("begin; insert into notes values (1, null, 'lost'); rollback")
    await database.execute("insert into notes values (2, null, 'kept')")

    assert (await listener.next())["record"]["id"] == 2


async def test_a_stranger_gets_nothing(database: Database, listen: Listen, token: Callable[..., str]) -> None:
    owner, stranger = await listen(token(ALICE)), await listen(token(BOB))

    await database.execute("insert into notes values (1, %s, 'private')", [ALICE])
    await database.execute("insert into notes values (2, 'everybody', 'public')")

    assert [(await owner.next())["record"]["id"] for _ in range(2)] == [1, 2]
    assert (await stranger.next())["record"]["id"] == 2


async def test_a_row_that_leaves_ones_sight_leaves_in_silence(
    database: Database, listen: Listen, token: Callable[..., str]
) -> None:
    await database.execute("insert into notes values (1, %s, ''), (2, %s, '')", [ALICE, ALICE])
    listener = await listen(token(ALICE))

    await database.execute("update notes set owner = %s where id = 1", [BOB])
    await database.execute("update notes set body = 'seen' where id = 2")

    assert (await listener.next())["record"]["id"] == 2


async def test_filter(database: Database, listen: Listen) -> None:
    listener = await listen(filter="body=in.(a,c)")

    await database.execute("insert into notes values (1, null, 'a'), (2, null, 'b'), (3, null, 'c')")

    assert [(await listener.next())["record"]["id"] for _ in range(2)] == [1, 3]


async def test_one_channels_failing_filter_does_not_touch_the_others(
    database: Database, listen: Listen
) -> None:
    await database.execute("create table other (id int primary key, n int)")
    await database.execute("grant select on other to service_role")
    await database.execute("alter publication supabase_realtime add table other")
    await listen(table="other", filter="n=gt.1")
    listener = await listen()

    # The filter's value no longer fits the column.
    await database.execute("alter table other alter n type date using null")
    async with database.transaction():
        await database.execute("insert into other values (1, 'today')")
        await database.execute("insert into notes values (1, null, 'kept')")

    assert (await listener.next())["table"] == "notes"


async def test_a_table_published_later(database: Database, listen: Listen) -> None:
    await database.execute("create table later (id int primary key)")
    await database.execute("grant select on later to service_role")
    await database.execute("alter publication supabase_realtime add table later")
    listener = await listen(table="later")

    await database.execute("insert into later values (7)")

    assert (await listener.next())["record"] == {"id": 7}


async def test_connections_lost_are_made_again(database: Database, listen: Listen) -> None:
    listener = await listen()
    lose_all = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    await database.execute(lose_all)

    async with asyncio.timeout(15):
        # What is written before the stream is back is lost, so something is written until it is.
        for number in range(1000):
            await database.execute("insert into notes values (%s, null, '')", [number])
            try:
                async with asyncio.timeout(0.2):
                    change = await listener.next()
            except TimeoutError:
                continue
            break

    assert change["type"] == "INSERT"
