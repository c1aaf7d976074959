"""rollback.sql takes away what the migrations made, and nothing else."""

from pathlib import Path

import pytest

from database.catalogue import Catalogue, read
from database.servers import MIGRATIONS, SUPABASE, Database, Server
from database.supabase_cli import needs_cli, supabase

pytestmark = pytest.mark.local_stack

ROLLBACK = SUPABASE / "rollback.sql"

FOREIGN = """
    create table public.mine (id int primary key, job_id uuid);
    create view public.mine_as_seen with (security_invoker = true) as select id from public.mine;
    create type public.my_kind as enum ('a', 'b');
    create function public.mine() returns bigint language sql set search_path = ''
    as 'select count(*) from public.mine';
    alter publication supabase_realtime add table public.mine;
    create policy "Mine" on realtime.messages for select to authenticated using (true);
"""


def assert_same(after: Catalogue, before: Catalogue, when: str = "") -> None:
    """Say which objects make the difference: what rollback.sql must drop, or must not."""
    for what, found in (("leaves", after.since(before)), ("takes away", before.since(after))):
        if found:
            pytest.fail("\n    ".join([f"rollback.sql {what}{when}:", *found]), pytrace=False)
    assert after == before


def test_rollback__leaves_nothing_of_the_migrations(empty: Database) -> None:
    with empty.connect() as session:
        before = read(session)
        empty.apply(*MIGRATIONS)
        assert read(session).since(before)

        empty.apply(ROLLBACK)

        assert_same(read(session), before)


def test_rollback__keeps_what_others_made(empty: Database) -> None:
    with empty.connect() as session:
        session.execute(FOREIGN.encode())
        before = read(session)
        empty.apply(*MIGRATIONS)
        session.execute("insert into public.mine values (1)")

        empty.apply(ROLLBACK)

        assert_same(read(session), before)
        assert session.execute("select public.mine()").fetchone() == (1,)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("create view public.mine as select id from public.jobs", "view mine"),
        ("create table public.mine (job_id uuid references public.jobs)", "table mine"),
        (
            """
            create table public.mine ();
            create policy "Backends see mine" on public.mine for select using (private.is_service())
            """,
            "policy Backends see mine on table mine",
        ),
    ],
)
def test_rollback__changes_nothing_while_others_need_ours(
    migrated: Database, statement: str, named: str
) -> None:
    with migrated.connect() as session:
        session.execute(statement.encode())
        before = read(session)

        done = migrated.psql(ROLLBACK)

        assert done.returncode != 0
        assert named in done.stderr
        assert read(session) == before


def test_migrations__apply_again_after_a_rollback(empty: Database) -> None:
    with empty.connect() as session:
        empty.apply(*MIGRATIONS)
        first = read(session)

        empty.apply(ROLLBACK, *MIGRATIONS)

        assert_same(read(session), first)


def test_rollback__is_complete_after_any_migration(own_server: Server) -> None:
    """A migration that failed leaves the earlier ones in place."""
    with own_server.empty() as database:
        with database.connect() as session:
            before = read(session)
        for migration in MIGRATIONS:
            database.apply(migration)
            with own_server.copy_of(database) as copy, copy.connect() as session:
                copy.apply(ROLLBACK)
                assert_same(read(session), before, f" after {migration.name}")


def test_rollback__touches_nothing_without_the_migrations(empty: Database) -> None:
    with empty.connect() as session:
        session.execute("create table public.jobs (id int)")
        before = read(session)

        done = empty.psql(ROLLBACK)

        assert "nothing to roll back" in done.stderr
        assert read(session) == before


def test_rollback__keeps_a_table_that_was_in_the_way_of_ours(empty: Database) -> None:
    with empty.connect() as session:
        session.execute("create table public.jobs (id int)")
        empty.apply(MIGRATIONS[0])
        before = read(session)

        done = empty.psql(ROLLBACK)

        assert "table public.jobs is not ours" in done.stderr
        assert read(session) == before


@needs_cli
def test_supabase_cli__sees_no_difference_and_applies_again(
    empty: Database, server: Server, tmp_path: Path
) -> None:
    with server.empty() as untouched:
        supabase(tmp_path, "db", "push", f"--remote={empty.url}", "--yes")
        different = supabase(tmp_path, "db", "diff", f"--from={untouched.url}", f"--to={empty.url}")
        empty.apply(ROLLBACK)
        same = supabase(tmp_path, "db", "diff", f"--from={untouched.url}", f"--to={empty.url}")
        again = supabase(tmp_path, "db", "push", f"--remote={empty.url}", "--yes")

    assert "create table" in different.stdout.lower()
    assert same.stdout.strip() == ""
    assert again.returncode == 0, again.stderr
