"""docs/access.md, cell by cell: as each actor, over HTTP.

What is refused or hidden must have changed nothing at all.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import pytest
from psycopg import sql

from database import access_world as world
from database.access_calls import (
    CALLER,
    LISTS,
    ON_JOBS,
    ON_NO_JOB,
    VIDEO,
    filled,
)
from database.access_page import read_page
from database.servers import Session
from support import Target

pytestmark = pytest.mark.local_stack

PAGE = read_page()

OWNERS = ("anonymous", "user")
BACKENDS = ("service account", "admin", "service key")

# Watch tokens come in two roles; the page's column is of the first.
WATCHERS = ("watch token", "watch token of role authenticated")
ACTORS = ("nobody", *OWNERS, *WATCHERS, *BACKENDS)

# The job on which a backend shows what it may do to any: one for each, so that none finds it changed already.
BACKENDS_JOB = {"service account": "other user", "admin": "watched", "service key": "other address"}


@dataclass(frozen=True)
class Stage:
    """The stack with the world on it, and ways to act there."""

    target: Target
    session: Session
    http: httpx.Client
    pristine: dict[str, str] = field(default_factory=dict)

    def restore(self) -> None:
        """Make the world what it was, if it is not."""
        if not self.pristine or world.contents(self.session) != self.pristine:
            world.create(self.session)
            self.pristine.clear()
            self.pristine.update(world.contents(self.session))

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing that happens here may leave a trace."""
        before = world.contents(self.session)
        yield
        after = world.contents(self.session)
        assert {name for name, held in after.items() if held != before[name]} == set()

    def ask(
        self,
        actor: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        watched: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A request as an actor; a watch token is for the job `watched`."""
        tokens: dict[str, dict[str, Any]] = {
            "user": {"sub": world.USER},
            "watch token": {"role": "anon", "watch_job_id": watched},
            "watch token of role authenticated": {"sub": world.USER, "watch_job_id": watched},
            "service account": {"sub": world.USER, "app_metadata": {"role": "service_account"}},
            "admin": {"sub": world.USER, "app_metadata": {"role": "admin"}},
        }
        claims = tokens.get(actor)
        key = self.target.service_role_key if actor == "service key" else self.target.anon_key
        with self.unknown_address() if actor == "nobody" else _as_it_is():
            return self.http.request(
                method,
                f"{self.target.url}/rest/v1/{path}",
                json=body,
                headers={
                    "apikey": key,
                    "Authorization": f"Bearer {self.target.token(**claims) if claims else key}",
                    **(headers or {}),
                },
            )

    @contextmanager
    def unknown_address(self) -> Iterator[None]:
        """The proxy writes no address."""
        change = "update private.settings set value = to_jsonb(%s::text) where name = 'client_ip_header'"
        self.session.execute(change, ("x-not-sent",))
        try:
            yield
        finally:
            self.session.execute(change, ("x-forwarded-for",))


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@pytest.fixture(scope="module")
def built(localbase_cluster: Any) -> Iterator[Stage]:
    with localbase_cluster.stack() as stack:
        target = Target(stack.api_url, stack.anon_key, stack.service_role_key, stack.jwt_secret, stack.db_url)
        with target.connect() as session, httpx.Client(timeout=30) as http:
            yield Stage(target, session, http)


@pytest.fixture
def stage(built: Stage) -> Stage:
    built.restore()
    return built


def column(actor: str) -> str:
    return "watch token" if actor in WATCHERS else actor


def said(cells: Mapping[str, str], actor: str) -> str:
    """What the page says of an actor; of a watch token of role authenticated, as it says below the table."""
    if actor == WATCHERS[1] and cells["watch token"] == "refused" and cells in PAGE.relations.values():
        return "the job's" if cells["user"] == "own" else cells["user"]
    return cells[column(actor)]


def owners_shown(word: str, actor: str) -> set[str]:
    """Whose jobs the word of a cell means."""
    return {
        "all": set(world.OWNERS),
        "own": {actor},
        "the job's": {"watched"},
        "none": set(),
        "refused": set(),
    }[word]


def outcome(response: httpx.Response) -> str:
    """In a word of the page: refused, none or allowed."""
    if response.is_success:
        return "none" if response.text == "false" else "allowed"
    answer = response.json()
    if answer["code"] == "42501" and response.status_code in {401, 403}:
        return "refused"
    if not answer["code"].startswith("PT"):
        return response.text
    words = {
        (403, "permission_denied"): "refused",
        (403, "client_unknown"): "refused",
        (404, "not_found"): "none",
    }
    return words.get((response.status_code, json.loads(answer["details"])["error"]), response.text)


# The page --------------------------------------------------------------------------------------


def test_page__names_every_table_and_view(stage: Stage) -> None:
    found = stage.session.execute(
        "select relname from pg_catalog.pg_class "
        "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    assert set(PAGE.relations) == {name for (name,) in found}


def test_page__names_every_function(stage: Stage) -> None:
    found = stage.session.execute(
        "select proname from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace"
    )
    assert set(PAGE.functions) == {name for (name,) in found}


def test_page__has_a_cell_for_every_actor() -> None:
    assert set(PAGE.actors) == {column(actor) for actor in ACTORS}
    for cells in PAGE.functions.values():
        assert tuple(cells) == PAGE.actors
    for cells in PAGE.relations.values():
        assert tuple(cells) == PAGE.actors


def test_arguments__are_there_for_every_function() -> None:
    assert {*ON_NO_JOB, *(name for given in ON_JOBS.values() for name in given)} == set(PAGE.functions)


# Functions -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A function with the arguments of the tables above, alone or in a batch."""

    stage: Stage
    function: str
    arguments: dict[str, Any]
    batched: bool

    def by(self, actor: str, values: Mapping[str, Any], watched: str) -> httpx.Response:
        arguments = filled(self.arguments, {**values, CALLER: actor.replace(" ", "_")})
        if not self.batched:
            return self.stage.ask(actor, "POST", f"rpc/{self.function}", body=arguments, watched=watched)
        calls = [{"function": self.function, "arguments": arguments}]
        response = self.stage.ask(actor, "POST", "rpc/run_batch", body={"calls": calls}, watched=watched)
        if not response.is_success:
            return response
        return httpx.Response(200, json=response.json()[0])


def calls(stage: Stage, function: str) -> Iterator[Call]:
    """The ways in which a function can be called, each on the world as it was."""
    arguments = ON_NO_JOB.get(function)
    if arguments is None:
        (arguments,) = [given[function] for given in ON_JOBS.values() if function in given]
    yield Call(stage, function, arguments, batched=False)
    query = "select from private.batch_functions where batch_functions.function = %s"
    if stage.session.execute(query, (function,)).fetchone() is not None:
        stage.restore()
        yield Call(stage, function, arguments, batched=True)


@pytest.mark.parametrize(
    ("state", "function"), [(state, function) for state, given in ON_JOBS.items() for function in given]
)
def test_function__on_a_job(stage: Stage, state: str, function: str) -> None:
    cells = PAGE.functions[function]
    watched = world.job_id("watched", state)
    for call in calls(stage, function):
        with stage.unchanged():
            for actor in ACTORS:
                word = said(cells, actor)
                for owner in set(world.OWNERS) - owners_shown(word, actor):
                    response = call.by(actor, world.parts(owner, state), watched)
                    assert outcome(response) in closed(word, actor, owner), f"{actor}, job of {owner}"
        for actor in ACTORS:
            word = said(cells, actor)
            for owner in {BACKENDS_JOB[actor]} if word == "all" else owners_shown(word, actor):
                response = call.by(actor, world.parts(owner, state), watched)
                assert outcome(response) == "allowed", f"{actor}, job of {owner}"


def closed(word: str, actor: str, owner: str) -> set[str]:
    """What an actor may be told of a job on which it may not call a function."""
    if word != "refused":
        return {"none"}
    sees = owner == ("watched" if actor in WATCHERS else actor)
    return {"refused"} if sees else {"refused", "none"}


@pytest.mark.parametrize("function", [name for name in ON_NO_JOB if name not in LISTS])
def test_function__on_no_job(stage: Stage, function: str) -> None:
    cells = PAGE.functions[function]
    watched = world.job_id("watched")
    for call in calls(stage, function):
        with stage.unchanged():
            for actor in ACTORS:
                if said(cells, actor) == "refused":
                    assert outcome(call.by(actor, {}, watched)) == "refused", actor
        for actor in ACTORS:
            if said(cells, actor) != "refused":
                response = call.by(actor, {}, watched)
                assert response.is_success, f"{actor}: {response.text}"


@pytest.mark.parametrize("function", LISTS)
def test_function__that_lists(stage: Stage, function: str) -> None:
    for call in calls(stage, function):
        for actor in ACTORS:
            word = said(PAGE.functions[function], actor)
            items = call.by(actor, {}, world.job_id("watched")).json()["items"]
            assert {item[LISTS[function]] for item in items} == {
                world.job_id(owner, state)
                for owner in owners_shown(word, actor)
                for state in states_shown(actor)
            }, actor


def states_shown(actor: str) -> tuple[str, ...]:
    """Of which jobs of an owner an actor sees something: a watch token is for one."""
    return ("waiting",) if actor in WATCHERS else world.STATES


@pytest.mark.parametrize("function", ["create_job", "create_jobs", "create_video_job"])
def test_function__that_creates__makes_jobs_of_the_caller_s_own(stage: Stage, function: str) -> None:
    """Whatever user and address the arguments say."""
    owners = {
        "anonymous": (None, world.ADDRESS),
        "user": (world.USER, world.ADDRESS),
        "admin": (VIDEO["user_id"], VIDEO["client_ip"]),
    }
    for call in calls(stage, function):
        for actor, owner in owners.items():
            made = call.by(actor, {}, "").json()
            job = made[0] if isinstance(made, list) else made.get("job", made)
            assert (job["user_id"], job["client_ip"]) == owner


def test_who_is_calling(stage: Stage) -> None:
    roles = {
        "nobody": ("anon", False, None),
        "anonymous": ("anon", False, world.ADDRESS),
        "user": ("authenticated", False, world.ADDRESS),
        "watch token": ("anon", False, world.ADDRESS),
        "watch token of role authenticated": ("authenticated", False, world.ADDRESS),
        "service account": ("service_account", False, world.ADDRESS),
        "admin": ("admin", True, world.ADDRESS),
        "service key": ("service_role", True, world.ADDRESS),
    }
    for actor in ACTORS:
        answers = [
            stage.ask(actor, "POST", f"rpc/{name}", body={}, watched=world.job_id("watched")).json()
            for name in ("user_role", "is_admin", "client_ip")
        ]
        assert tuple(answers) == roles[actor]


def test_delete_job__with_force_takes_an_admin(stage: Stage) -> None:
    with stage.unchanged():
        body = {"job_id": world.job_id("user"), "force": True}
        assert outcome(stage.ask("service account", "POST", "rpc/delete_job", body=body)) == "refused"
    for actor, owner in (("admin", "user"), ("service key", "anonymous")):
        body = {"job_id": world.job_id(owner), "force": True}
        assert outcome(stage.ask(actor, "POST", "rpc/delete_job", body=body)) == "allowed"


# Tables and views ------------------------------------------------------------------------------


def rows_with_these_jobs(session: Session, relation: str, jobs: list[str]) -> list[Any]:
    """What there would be in a table or view if there were no other jobs."""
    query = sql.SQL("select to_jsonb(shown) from public.{} as shown").format(sql.Identifier(relation))
    with session.transaction(force_rollback=True):
        session.execute("delete from public.jobs where id <> all (%s::uuid[])", (jobs,))
        return [row for (row,) in session.execute(query).fetchall()]


def comparable(rows: list[dict[str, Any]], *without: str) -> list[str]:
    """Rows in an order of their own, without what depends on the moment."""
    return sorted(
        json.dumps(
            {name: row[name] for name in row if not name.endswith("_seconds") and name not in without},
            sort_keys=True,
        )
        for row in rows
    )


@pytest.mark.parametrize("relation", PAGE.relations)
def test_relation__shows_what_the_page_says(stage: Stage, relation: str) -> None:
    cells = PAGE.relations[relation]
    for actor in ACTORS:
        word = said(cells, actor)
        response = stage.ask(actor, "GET", relation, watched=world.job_id("watched"))
        if word == "refused":
            assert outcome(response) == "refused", actor
            continue
        assert response.is_success, f"{actor}: {response.text}"
        shown = response.json()
        expected: list[Any] = []
        if word != "none":
            jobs = [
                world.job_id(owner, state)
                for owner in owners_shown(word, actor)
                for state in states_shown(actor)
            ]
            expected = rows_with_these_jobs(stage.session, relation, jobs)
        # The worker's name is for backends.
        hidden = () if word == "all" else ("worker",)
        assert comparable(shown, *hidden) == comparable(expected, *hidden), actor
        assert word == "all" or all(row.get("worker") is None for row in shown)


@pytest.mark.parametrize("relation", PAGE.relations)
def test_relation__has_rows_for_all_who_may_see_some(stage: Stage, relation: str) -> None:
    """Else the test above would prove nothing."""
    cells = PAGE.relations[relation]
    for actor in (*OWNERS, *BACKENDS):
        if said(cells, actor) in {"own", "all"}:
            assert stage.ask(actor, "GET", relation).json() != [], actor


WRITES = {"insert": "POST", "update": "PATCH", "delete": "DELETE"}


@pytest.mark.parametrize("relation", PAGE.relations)
@pytest.mark.parametrize("verb", WRITES)
def test_relation__is_written_by_nobody(stage: Stage, relation: str, verb: str) -> None:
    (name,) = stage.session.execute(
        "select attname from pg_catalog.pg_attribute where attrelid = ('public.' || %s)::regclass "
        "and attnum > 0 and attgenerated = '' and attidentity = '' order by attnum limit 1",
        (relation,),
    ).fetchall()[0]
    query = sql.SQL("select to_jsonb(shown) -> {} from public.{} as shown limit 1")
    ((value,),) = stage.session.execute(query.format(name, sql.Identifier(relation))).fetchall()

    with stage.unchanged():
        for actor in ACTORS:
            response = stage.ask(
                actor,
                WRITES[verb],
                relation if verb == "insert" else f"{relation}?{name}=not.is.null",
                body=None if verb == "delete" else {name: value},
                watched=world.job_id("watched"),
            )
            # A view that cannot be written at all says so before it asks who is writing.
            assert response.json()["code"] == "55000" or outcome(response) == "refused", response.text


def test_schema_private__cannot_be_named(stage: Stage) -> None:
    with stage.unchanged():
        for actor in ACTORS:
            for response in (
                stage.ask(actor, "GET", "settings", headers={"Accept-Profile": "private"}),
                stage.ask(
                    actor,
                    "POST",
                    "rpc/set_queue_paused",
                    body={"paused": True},
                    headers={"Content-Profile": "private"},
                ),
            ):
                assert (response.status_code, response.json()["code"]) == (406, "PGRST106")


# Pretenders ------------------------------------------------------------------------------------

SHORT = {"exp": int(time.time()) + 3600}


def seen_with(
    stage: Stage,
    claims: Mapping[str, Any],
    *,
    secret: str = "",
    path: str = "jobs?select=id",
    **headers: str,
) -> httpx.Response:
    """What the bearer of a token with just these claims sees: the jobs, unless the path says otherwise."""
    target = stage.target
    bearer = jwt.encode(dict(claims), secret or target.jwt_secret, "HS256") if claims else target.anon_key
    return stage.http.get(
        f"{target.url}/rest/v1/{path}",
        headers={"apikey": target.anon_key, "Authorization": f"Bearer {bearer}", **headers},
    )


@pytest.mark.parametrize("header", ["x-forwarded-for", "X-FORWARDED-FOR", "x-real-ip", "cf-connecting-ip"])
@pytest.mark.parametrize("words", [world.OTHER_ADDRESS, f"{world.OTHER_ADDRESS}, {world.OTHER_ADDRESS}", ","])
def test_forged_address__is_not_believed(stage: Stage, header: str, words: str) -> None:
    shown = seen_with(stage, {}, **{header: words}).json()

    assert {job["id"] for job in shown} == {world.job_id("anonymous", state) for state in world.STATES}


@pytest.mark.parametrize(
    "claims",
    [
        {"user_metadata": {"role": "admin"}},
        {"user_metadata": {"role": "service_account", "app_metadata": {"role": "admin"}}},
        {"user_role": "admin", "is_admin": True},
        {"app_metadata": {"roles": ["admin"]}},
        {"app_metadata": {"role": "Admin"}},
        {"user_metadata": {"watch_job_id": world.job_id("watched")}},
    ],
)
def test_forged_role__gives_no_rights(stage: Stage, claims: dict[str, Any]) -> None:
    shown = seen_with(stage, {"role": "authenticated", "sub": world.USER, **SHORT, **claims}).json()

    assert {job["id"] for job in shown} == {world.job_id("user", state) for state in world.STATES}


def test_role_in_a_token_of_role_anon__gives_no_rights(stage: Stage) -> None:
    """Auth signs no such token; but who has it must be anonymous in all things, not half an admin."""
    claims = {"role": "anon", "app_metadata": {"role": "admin"}, **SHORT}

    assert seen_with(stage, claims, path="rpc/user_role").json() == "anon"
    assert seen_with(stage, claims, path="rpc/is_admin").json() is False
    elements = seen_with(stage, claims, path="elements?select=job_id").json()
    assert {row["job_id"] for row in elements} == {world.job_id("anonymous", state) for state in world.STATES}


@pytest.mark.parametrize("actor", BACKENDS)
def test_audit__cannot_be_written_by_hand(stage: Stage, actor: str) -> None:
    with stage.unchanged():
        body = {"event_type": "audit.job_deleted"}
        response = stage.ask(actor, "POST", "rpc/log_security_event", body=body)
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_watch_token__shows_no_other_job(stage: Stage, role: str) -> None:
    claims = {"role": role, "sub": world.USER, "watch_job_id": world.job_id("watched"), **SHORT}

    assert seen_with(stage, claims).json() == [{"id": world.job_id("watched")}]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("lifetime", [None, 86_500, 10**9])
def test_watch_token__that_is_not_short_lived_shows_nothing(
    stage: Stage, role: str, lifetime: int | None
) -> None:
    expiry = {} if lifetime is None else {"exp": int(time.time()) + lifetime}
    claims = {"role": role, "sub": world.USER, "watch_job_id": world.job_id("watched"), **expiry}

    assert seen_with(stage, claims).json() == []


def test_watch_token__leaves_a_backend_one(stage: Stage) -> None:
    claims = {"sub": world.USER, "watch_job_id": world.job_id("watched"), "app_metadata": {"role": "admin"}}

    shown = seen_with(stage, {"role": "authenticated", **claims, **SHORT}).json()

    assert len(shown) == len(world.OWNERS) * len(world.STATES)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_token__that_has_expired_or_is_signed_by_another_is_none(stage: Stage, role: str) -> None:
    claims = {"role": role, "sub": world.USER, "watch_job_id": world.job_id("watched"), **SHORT}

    assert seen_with(stage, {**claims, "exp": int(time.time()) - 120}).status_code == 401
    assert seen_with(stage, claims, secret="x" * 40).status_code == 401


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
def test_token__that_nobody_signed_is_none(stage: Stage, role: str) -> None:
    unsigned = jwt.encode({"role": role, "sub": world.USER, **SHORT}, "", "none")
    response = stage.http.get(
        f"{stage.target.url}/rest/v1/jobs",
        headers={"apikey": stage.target.anon_key, "Authorization": f"Bearer {unsigned}"},
    )
    assert response.status_code == 401
