"""Security events, rate limits, the audit, and what everyone may ask about themselves."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from reelbase import AsyncReelbase, Job
from support import Target

OWNER = uuid4()
ACTORS: dict[str, dict[str, Any] | None] = {
    "anonymous": None,
    "user": {"sub": str(OWNER)},
    "service_account": {"sub": str(OWNER), "app_metadata": {"role": "service_account"}},
    "admin": {"sub": str(OWNER), "app_metadata": {"role": "admin"}},
}


def call(target: Target, actor: str | dict[str, Any], function: str, **arguments: Any) -> httpx.Response:
    """A call through the API as one of ACTORS, with the service key, or with the given claims."""
    key = target.service_role_key if actor == "service_key" else target.anon_key
    claims = actor if isinstance(actor, dict) else ACTORS.get(actor)
    headers = {"apikey": key, "Authorization": f"Bearer {target.token(**claims) if claims else key}"}
    return httpx.post(f"{target.url}/rest/v1/rpc/{function}", json=arguments, headers=headers)


def answer(target: Target, actor: str | dict[str, Any], function: str, **arguments: Any) -> Any:
    response = call(target, actor, function, **arguments)
    assert response.is_success, response.text
    return response.json()


def refusal(response: httpx.Response) -> dict[str, Any]:
    """What a refusal tells programs."""
    assert response.is_client_error, response.text
    details: dict[str, Any] = json.loads(response.json()["details"])
    return details


def problems(response: httpx.Response) -> dict[str, str]:
    """Argument to problem, of an invalid_argument."""
    details = refusal(response)
    assert details["error"] == "invalid_argument"
    return {problem["argument"]: problem["problem"] for problem in details["problems"]}


def act(session: psycopg.Connection[Any], role: str, claims: dict[str, Any], address: str = "") -> None:
    """Turn the present transaction into an actor's, as the Data API would."""
    session.execute(
        "select set_config('request.jwt.claims', %s, true), set_config('request.headers', %s, true)",
        (
            json.dumps({"role": role, "exp": int(time.time()) + 600, **claims}),
            json.dumps({"x-forwarded-for": address}),
        ),
    )
    session.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))


@pytest.fixture
def event_type() -> str:
    """A type of security events that no other test writes."""
    return f"test_{uuid4().hex}"


# What everyone may ask ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "role", "admin"),
    [
        ("anonymous", "anon", False),
        ("user", "authenticated", False),
        ({"sub": str(OWNER), "user_metadata": {"role": "admin"}}, "authenticated", False),
        ("service_account", "service_account", False),
        ("admin", "admin", True),
        ("service_key", "service_role", True),
    ],
)
def test_everyone__may_ask_who_they_are(
    target: Target, actor: str | dict[str, Any], role: str, admin: bool
) -> None:
    assert answer(target, actor, "user_role") == role
    assert answer(target, actor, "is_admin") is admin


@pytest.mark.local_stack
@pytest.mark.parametrize("actor", ["anonymous", "user", "service_key"])
def test_everyone__may_ask_for_their_address(own_target: Target, actor: str) -> None:
    assert answer(own_target, actor, "client_ip") == "127.0.0.1"


# Following a job ----------------------------------------------------------------------------


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    return await service.jobs.create("mp4", 64, 64, user_id=OWNER)


@pytest.mark.parametrize(
    ("actor", "may"),
    [
        ("anonymous", False),
        ("user", True),
        ({"sub": str(UUID(int=1))}, False),
        ({"sub": str(UUID(int=1)), "user_metadata": {"role": "admin"}}, False),
        ("service_account", True),
        ("admin", True),
        ("service_key", True),
        ({"role": "anon", "watch_job_id": "JOB"}, True),
        ({"role": "anon", "watch_job_id": str(UUID(int=1))}, False),
        ({"role": "anon", "watch_job_id": "no job"}, False),
    ],
)
async def test_can_subscribe_to_job__is_true_where_the_job_is_visible(
    target: Target, job: Job, actor: str | dict[str, Any], may: bool
) -> None:
    if isinstance(actor, dict):
        actor = {name: str(job.id) if value == "JOB" else value for name, value in actor.items()}

    assert answer(target, actor, "can_subscribe_to_job", job_id=str(job.id)) is may
    assert answer(target, actor, "can_subscribe_to_job", job_id=str(uuid4())) is False
    assert answer(target, actor, "can_subscribe_to_job", job_id=None) is False


# Security events ----------------------------------------------------------------------------


@pytest.mark.local_stack
def test_log_security_event__knows_its_actor(own_target: Target, event_type: str) -> None:
    job_id = str(uuid4())

    event = answer(
        own_target,
        "service_account",
        "log_security_event",
        event_type=event_type,
        details={"path": "/x"},
        severity="critical",
        job_id=job_id,
    )

    assert event == {
        "id": event["id"],
        "event_type": event_type,
        "severity": "critical",
        "actor_role": "service_account",
        "actor_id": str(OWNER),
        "client_ip": "127.0.0.1",
        "job_id": job_id,
        "details": {"path": "/x"},
        "created_at": event["created_at"],
        "idempotency_key": None,
    }


def test_log_security_event__runs_as_documented(database: psycopg.Connection[Any]) -> None:
    with database.transaction(force_rollback=True):
        row = database.execute(
            "SELECT log_security_event('unauthorized_access', '{\"details\": \"...\"}');"
        ).fetchone()
        limit = database.execute("SELECT check_rate_limit('client-ip', 100, '1 hour'::interval);").fetchone()

    assert row is not None
    assert limit is not None


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"event_type": None}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": "No Words"}, "event_type"),
        ({"event_type": "x" * 101}, "event_type"),
        ({"severity": None}, "severity"),
        ({"severity": "fatal"}, "severity"),
        ({"details": [1]}, "details"),
        ({"details": {"x": "y" * 70_000}}, "details"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
    ],
)
def test_log_security_event__names_what_is_wrong(
    target: Target, arguments: dict[str, Any], argument: str
) -> None:
    response = call(target, "service_key", "log_security_event", **{"event_type": "test", **arguments})

    assert list(problems(response)) == [argument]


@pytest.mark.parametrize("actor", ["anonymous", "user"])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("log_security_event", {"event_type": "test"}),
        ("get_security_events", {}),
        ("check_rate_limit", {"key": "test", "max_calls": 1, "per": "1 hour"}),
    ],
)
def test_security__is_for_backends(
    target: Target, actor: str, function: str, arguments: dict[str, Any]
) -> None:
    response = call(target, actor, function, **arguments)

    if actor == "user":
        assert refusal(response)["error"] == "permission_denied"
    else:
        # Without a grant the function is not even called.
        assert response.json()["code"] == "42501"


def test_security_events__are_read_by_admins_only(target: Target, event_type: str) -> None:
    answer(target, "service_account", "log_security_event", event_type=event_type)

    refused = call(target, "service_account", "get_security_events", event_type=event_type)
    seen = [
        answer(target, actor, "get_security_events", event_type=event_type)["items"]
        for actor in ("admin", "service_key")
    ]

    assert refusal(refused)["error"] == "permission_denied"
    assert [len(items) for items in seen] == [1, 1]


@pytest.mark.parametrize(
    ("role", "claims", "visible"),
    [
        ("authenticated", {"sub": str(OWNER)}, 0),
        ("authenticated", {"app_metadata": {"role": "service_account"}}, 0),
        ("authenticated", {"app_metadata": {"role": "admin"}}, 1),
        ("service_role", {}, 1),
    ],
)
def test_security_events__in_the_table_are_seen_by_admins_only(
    database: psycopg.Connection[Any], event_type: str, role: str, claims: dict[str, Any], visible: int
) -> None:
    with database.transaction(force_rollback=True):
        database.execute("select log_security_event(%s)", (event_type,))
        act(database, role, claims)
        row = database.execute(
            "select count(*) from security_events where event_type = %s", (event_type,)
        ).fetchone()

    assert row == (visible,)


@pytest.mark.parametrize("table", ["public.security_events", "private.rate_limits"])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_security_tables__are_written_by_nobody(
    database: psycopg.Connection[Any], table: str, role: str, verb: str
) -> None:
    whole = database.execute("select has_table_privilege(%s, %s, %s)", (role, table, verb)).fetchone()
    assert whole == (False,)

    if verb in {"insert", "update"}:
        parts = database.execute("select has_any_column_privilege(%s, %s, %s)", (role, table, verb))
        assert parts.fetchone() == (False,)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"severity": "fatal"}, "severity"),
        ({"from_time": "2026-02-01", "to_time": "2026-01-01"}, "from_time"),
        ({"page_size": 0}, "page_size"),
    ],
)
def test_get_security_events__names_what_is_wrong(
    target: Target, arguments: dict[str, Any], argument: str
) -> None:
    assert list(problems(call(target, "admin", "get_security_events", **arguments))) == [argument]


def test_security_event_given_again__is_the_first(target: Target, event_type: str) -> None:
    key = f"key {event_type}"

    def log(number: int) -> dict[str, Any]:
        logged: dict[str, Any] = answer(
            target,
            "service_key",
            "log_security_event",
            event_type=event_type,
            details={"n": number},
            idempotency_key=key,
        )
        return logged

    with ThreadPoolExecutor(4) as pool:
        logged = list(pool.map(log, range(8)))

    assert all(event == logged[0] for event in logged)
    assert len(answer(target, "admin", "get_security_events", event_type=event_type)["items"]) == 1


def test_get_security_events__pages_newest_first(target: Target, event_type: str) -> None:
    for number in range(5):
        answer(target, "service_key", "log_security_event", event_type=event_type, details={"n": number})

    pages, cursor = [], None
    while True:
        page = answer(
            target, "admin", "get_security_events", event_type=event_type, page_size=2, cursor=cursor
        )
        pages.append([event["details"]["n"] for event in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert pages == [[4, 3], [2, 1], [0]]


def test_get_security_events__filters(target: Target, event_type: str) -> None:
    first, second = [
        answer(target, "service_key", "log_security_event", event_type=event_type, severity=severity)
        for severity in ("info", "critical")
    ]

    def found(**filters: Any) -> list[int]:
        page = answer(target, "admin", "get_security_events", event_type=event_type, **filters)
        return [event["id"] for event in page["items"]]

    assert found(severity="critical") == [second["id"]]
    assert found(from_time=second["created_at"]) == [second["id"]]
    assert found(to_time=second["created_at"]) == [first["id"]]
    assert found(from_time=first["created_at"], to_time=first["created_at"]) == []


@pytest.mark.parametrize("page_size", [0, 501, None])
def test_get_security_events__refuses_a_page_size(target: Target, page_size: int | None) -> None:
    response = call(target, "admin", "get_security_events", page_size=page_size)

    assert list(problems(response)) == ["page_size"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "WyJqb2JzIiwiMSIsIjIiXQ"])
def test_get_security_events__refuses_a_foreign_cursor(target: Target, cursor: str) -> None:
    response = call(target, "admin", "get_security_events", cursor=cursor)

    assert refusal(response)["error"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"kind": None, "severity": None}, "security_events_newest"),
        ({"kind": "rare", "severity": None}, "security_events_by_type"),
        ({"kind": None, "severity": "critical"}, "security_events_by_severity"),
    ],
)
def test_get_security_events__sorts_by_index(
    target: Target, filters: dict[str, str | None], index: str
) -> None:
    with (
        target.connect() as session,
        session.transaction(force_rollback=True),
        psycopg.ClientCursor(session) as cursor,
    ):
        cursor.execute(
            """
            insert into security_events (event_type, severity, actor_role)
            select 'common', 'info', 'anon' from generate_series(1, 20000)
            """
        )
        cursor.execute("analyze security_events")
        cursor.execute(
            """
            explain select events from security_events as events
            where (%(kind)s::text is null or event_type = %(kind)s)
            and (%(severity)s::text is null or severity = %(severity)s)
            order by created_at desc, id desc limit 51
            """,
            filters,
        )
        plan = "\n".join(row[0] for row in cursor)

    assert index in plan
    assert "Sort" not in plan


def test_audit__tells_who_did_what_to_which_job(database: psycopg.Connection[Any]) -> None:
    admin, job_id, action = uuid4(), uuid4(), f"test_{uuid4().hex}"
    with database.transaction(force_rollback=True):
        claims = {"sub": str(admin), "app_metadata": {"role": "admin"}}
        act(database, "authenticated", claims, "203.0.113.7")
        database.execute("select private.audit(%s, %s, %s)", (action, job_id, '{"forced": true}'))
        row = database.execute(
            """
            select severity, actor_role, actor_id, host(client_ip), job_id, details
            from security_events where event_type = 'audit.' || %s
            """,
            (action,),
        ).fetchone()

    assert row == ("info", "admin", admin, "203.0.113.7", job_id, {"forced": True})


# Rate limits --------------------------------------------------------------------------------


def test_check_rate_limit__counts_down_and_then_refuses(target: Target) -> None:
    arguments = {"key": f"test {uuid4()}", "max_calls": 2, "per": "31 days"}

    answers = [answer(target, "service_account", "check_rate_limit", **arguments) for _ in range(4)]

    assert [(given["allowed"], given["remaining"]) for given in answers] == [
        (True, 1),
        (True, 0),
        (False, 0),
        (False, 0),
    ]
    assert [given["retry_after"] for given in answers[:2]] == [0, 0]
    assert 0 < answers[2]["retry_after"] <= 31 * 86400


def test_check_rate_limit__keeps_keys_and_lengths_apart(target: Target) -> None:
    key = f"test {uuid4()}"

    answers = [
        answer(target, "service_key", "check_rate_limit", key=used, max_calls=1, per=per)["allowed"]
        for used, per in [(key, "31 days"), (f"{key}'", "31 days"), (key, "30 days"), (key, "31 days")]
    ]

    assert answers == [True, True, True, False]


def test_check_rate_limit__of_nothing_allows_nothing(target: Target) -> None:
    given = answer(target, "service_key", "check_rate_limit", key=f"{uuid4()}", max_calls=0, per="1 hour")

    assert (given["allowed"], given["remaining"]) == (False, 0)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"key": None}, "key"),
        ({"key": ""}, "key"),
        ({"key": "x" * 201}, "key"),
        ({"key": "anonymous_jobs:203.0.113.1"}, "key"),
        ({"max_calls": None}, "max_calls"),
        ({"max_calls": -1}, "max_calls"),
        ({"per": None}, "per"),
        ({"per": "0 seconds"}, "per"),
        ({"per": "-1 hours"}, "per"),
        ({"per": "32 days"}, "per"),
        ({"per": "100000000 years"}, "per"),
    ],
)
def test_check_rate_limit__names_what_is_wrong(
    target: Target, arguments: dict[str, Any], argument: str
) -> None:
    given = {"key": "test", "max_calls": 1, "per": "1 hour", **arguments}

    assert list(problems(call(target, "service_key", "check_rate_limit", **given))) == [argument]


def test_windows__are_fixed_and_do_not_share_calls(database: psycopg.Connection[Any]) -> None:
    key = f"test {uuid4()}"

    def take(moment: str, calls: int = 1) -> tuple[Any, ...] | None:
        return database.execute(
            "select * from private.take_from_limit(%s, 3, '1 minute', %s, %s)", (key, calls, moment)
        ).fetchone()

    assert take("2030-01-01 00:00:00+00", 2) == (True, 1, 0)
    # More than is left takes nothing of it.
    assert take("2030-01-01 00:00:15+00", 2) == (False, 1, 45)
    assert take("2030-01-01 00:00:59.999+00") == (True, 0, 0)
    assert take("2030-01-01 00:00:59.999+00") == (False, 0, Decimal("0.001"))
    assert take("2030-01-01 00:01:00+00", 3) == (True, 0, 0)
    # One row a window.
    rows = database.execute(
        "select calls, refused from private.rate_limits where key = %s order by starts_at", (key,)
    ).fetchall()
    assert rows == [(3, 3), (3, 0)]


def test_rate_limit__holds_exactly_among_sessions_at_once(target: Target) -> None:
    key, sessions, calls = f"test {uuid4()}", 8, 25

    def use(_: int) -> int:
        with closing(target.connect()) as session:
            taken = [
                session.execute("select allowed from check_rate_limit(%s, 100, '31 days')", (key,)).fetchone()
                for _ in range(calls)
            ]
        return taken.count((True,))

    with ThreadPoolExecutor(sessions) as pool:
        allowed = list(pool.map(use, range(sessions)))

    assert sum(allowed) == 100


def test_rate_limit__gives_back_what_is_rolled_back(target: Target) -> None:
    key = f"test {uuid4()}"
    query = "select allowed from check_rate_limit(%s, 1, '31 days')"
    with target.connect() as session:
        with session.transaction(force_rollback=True):
            assert session.execute(query, (key,)).fetchone() == (True,)
        assert session.execute(query, (key,)).fetchone() == (True,)
        assert session.execute(query, (key,)).fetchone() == (False,)


# Anonymous jobs -----------------------------------------------------------------------------


def limited(session: psycopg.Connection[Any], address: str | None, jobs: int = 1) -> dict[str, Any] | None:
    """What private.limit_anonymous_jobs refuses with; None when it does not."""
    try:
        session.execute("select private.limit_anonymous_jobs(%s, %s)", (address, jobs))
    except psycopg.Error as error:
        details: dict[str, Any] = json.loads(error.diag.message_detail or "")
        return {**details, "sqlstate": error.sqlstate, "hinted": bool(error.diag.message_hint)}
    return None


def limit_events(session: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    with session.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select severity, details from security_events where event_type = 'rate_limited' order by id"
        ).fetchall()


@pytest.fixture
def alone(own_target: Target) -> Any:
    """A session of the owner in a database of its own."""
    with own_target.connect() as session:
        yield session


@pytest.mark.local_stack
def test_anonymous_jobs__are_limited_by_the_setting(alone: psycopg.Connection[Any]) -> None:
    alone.execute("update private.settings set value = '3' where name = 'anonymous_jobs_per_hour'")

    assert limited(alone, "203.0.113.1", 2) is None
    refused = limited(alone, "203.0.113.1", 2)
    assert refused is not None
    assert {**refused, "retry_after": 0} == {
        "error": "rate_limited",
        "sqlstate": "PT429",
        "hinted": True,
        "retry_after": 0,
        "remaining": 1,
        "limit": 3,
    }
    assert 0 < refused["retry_after"] <= 3600
    assert limited(alone, "203.0.113.1") is None
    assert limited(alone, "203.0.113.1") is not None
    assert limited(alone, "203.0.113.2") is None


@pytest.mark.local_stack
def test_anonymous_jobs__are_without_limit_when_the_setting_is_null(alone: psycopg.Connection[Any]) -> None:
    alone.execute("update private.settings set value = 'null' where name = 'anonymous_jobs_per_hour'")

    assert limited(alone, "203.0.113.1", 100_000) is None


@pytest.mark.local_stack
def test_anonymous_jobs__of_one_ipv6_network_count_together(alone: psycopg.Connection[Any]) -> None:
    alone.execute("update private.settings set value = '1' where name = 'anonymous_jobs_per_hour'")

    assert limited(alone, "2001:db8:0:1::1") is None
    assert limited(alone, "2001:db8:0:1:ffff::2") is not None
    assert limited(alone, "2001:db8:0:2::1") is None
    assert limited(alone, None) is None
    assert limited(alone, None) is not None


@pytest.mark.local_stack
def test_anonymous_jobs__leave_one_event_a_window(alone: psycopg.Connection[Any]) -> None:
    alone.execute("update private.settings set value = '2' where name = 'anonymous_jobs_per_hour'")

    assert limited(alone, "203.0.113.1") is None
    assert limit_events(alone) == []
    assert limited(alone, "203.0.113.1") is None
    for _ in range(3):
        assert limited(alone, "203.0.113.1") is not None

    assert limit_events(alone) == [
        {
            "severity": "warning",
            "details": {"key": "anonymous_jobs:203.0.113.1", "limit": 2, "per": "1 hour"},
        }
    ]


@pytest.mark.local_stack
def test_anonymous_jobs__of_many_sessions_at_once_stop_at_the_limit_and_leave_one_event(
    own_target: Target, alone: psycopg.Connection[Any]
) -> None:
    alone.execute("update private.settings set value = '20' where name = 'anonymous_jobs_per_hour'")

    def create(_: int) -> int:
        with closing(own_target.connect()) as session:
            return [limited(session, "203.0.113.1") for _ in range(10)].count(None)

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(8)))

    assert sum(created) == 20
    assert len(limit_events(alone)) == 1


@pytest.mark.local_stack
def test_anonymous_jobs__are_counted_for_an_anonymous_caller(alone: psycopg.Connection[Any]) -> None:
    with alone.transaction(force_rollback=True):
        act(alone, "anon", {}, "203.0.113.9")
        alone.execute("select private.limit_anonymous_jobs(private.client_ip(), 100)")
        alone.execute("reset role")
        row = alone.execute(
            "select actor_role, host(client_ip) from security_events where event_type = 'rate_limited'"
        ).fetchone()

    assert row == ("anon", "203.0.113.9")
