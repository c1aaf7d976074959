"""Metrics, their thresholds, and the system events that crossing a threshold causes."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from support import Target

Database = psycopg.Connection[tuple[Any, ...]]

ACTORS: dict[str, dict[str, Any] | None] = {
    "anonymous": None,
    "user": {"sub": str(uuid4())},
    "service_account": {"sub": str(uuid4()), "app_metadata": {"role": "service_account"}},
    "admin": {"sub": str(uuid4()), "app_metadata": {"role": "admin"}},
}
BACKENDS = ["service_account", "admin", "service_key"]


def call(target: Target, actor: str, function: str, **arguments: Any) -> httpx.Response:
    """A call through the API as one of ACTORS or with the service key."""
    key = target.service_role_key if actor == "service_key" else target.anon_key
    claims = ACTORS.get(actor)
    headers = {"apikey": key, "Authorization": f"Bearer {target.token(**claims) if claims else key}"}
    return httpx.post(f"{target.url}/rest/v1/rpc/{function}", json=arguments, headers=headers)


def answer(target: Target, function: str, actor: str = "service_key", **arguments: Any) -> Any:
    response = call(target, actor, function, **arguments)
    assert response.is_success, response.text
    return response.json()


def refusal(response: httpx.Response) -> dict[str, Any]:
    """What a refusal tells programs."""
    assert response.is_client_error, response.text
    details: dict[str, Any] = json.loads(response.json()["details"])
    return details


def problems(response: httpx.Response) -> list[str]:
    """The arguments that an invalid_argument names."""
    details = refusal(response)
    assert details["error"] == "invalid_argument"
    return [problem["argument"] for problem in details["problems"]]


def act(session: Database, role: str, claims: dict[str, Any]) -> None:
    """Turn the present transaction into an actor's, as the Data API would."""
    session.execute(
        "select set_config('request.jwt.claims', %s, true)", (json.dumps({"role": role, **claims}),)
    )
    session.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))


@pytest.fixture
def metric() -> str:
    """A metric that no other test records."""
    return f"test.{uuid4().hex}"


def crossings(database: Database, metric: str) -> list[tuple[Any, ...]]:
    """(from, to, severity) of each event of a metric's threshold, in their order."""
    return database.execute(
        """
        select data ->> 'from', data ->> 'to', severity from system_events
        where type = 'metric.threshold' and data ->> 'metric' = %s order by id
        """,
        (metric,),
    ).fetchall()


# Recording ----------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", BACKENDS)
def test_record_metric__returns_what_it_recorded(target: Target, metric: str, actor: str) -> None:
    recorded = answer(
        target, "record_metric", actor, metric=metric, value=12.5, unit="percent", labels={"host": "a"}
    )

    assert recorded == {
        "id": recorded["id"],
        "metric": metric,
        "value": 12.5,
        "unit": "percent",
        "labels": {"host": "a"},
        "recorded_at": recorded["recorded_at"],
        "idempotency_key": None,
    }


def test_record_metric__given_again_returns_the_first(target: Target, metric: str) -> None:
    first, second = [
        answer(target, "record_metric", metric=metric, value=value, idempotency_key=metric)
        for value in (1, 2)
    ]

    assert first == second


def test_record_metric__given_at_once_by_many_is_recorded_once(target: Target, metric: str) -> None:
    def record(value: int) -> tuple[Any, ...] | None:
        with closing(target.connect()) as session:
            return session.execute(
                "select id from record_metric(%s, %s, idempotency_key => %s)", (metric, value, metric)
            ).fetchone()

    with ThreadPoolExecutor(8) as pool:
        recorded = set(pool.map(record, range(8)))

    assert len(recorded) == 1


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"metric": None}, "metric"),
        ({"metric": ""}, "metric"),
        ({"metric": "1st"}, "metric"),
        ({"metric": "two words"}, "metric"),
        ({"metric": "x" * 201}, "metric"),
        ({"value": None}, "value"),
        ({"value": "NaN"}, "value"),
        ({"value": "Infinity"}, "value"),
        ({"value": "1" + "0" * 301}, "value"),
        ({"value": "0." + "1" * 301}, "value"),
        ({"unit": ""}, "unit"),
        ({"unit": "x" * 51}, "unit"),
        ({"labels": [1]}, "labels"),
        ({"labels": {"x": "y" * 2000}}, "labels"),
        ({"recorded_at": "1999-12-31T00:00:00Z"}, "recorded_at"),
        ({"recorded_at": "2999-12-31T00:00:00Z"}, "recorded_at"),
        ({"recorded_at": "infinity"}, "recorded_at"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
    ],
)
def test_record_metric__names_what_is_wrong(
    target: Target, metric: str, arguments: dict[str, Any], argument: str
) -> None:
    given = {"metric": metric, "value": 1, **arguments}

    assert problems(call(target, "service_key", "record_metric", **given)) == [argument]
    # The same rules hold for many at once, which name the place in the list.
    many = call(target, "service_key", "record_metrics", metrics=[{"metric": metric, "value": 1}, given])
    assert problems(many) == [f"metrics[1].{argument}"]
    assert answer(target, "get_latest_metrics", metrics=[metric]) == []


def test_record_metrics__records_in_the_order_given(target: Target, metric: str) -> None:
    recorded = answer(
        target,
        "record_metrics",
        metrics=[{"metric": metric, "value": number, "unit": None} for number in range(1000)],
    )

    assert [row["value"] for row in recorded] == list(range(1000))
    assert {row["unit"] for row in recorded} == {None}


def test_record_metrics__returns_what_was_recorded_before_under_a_key(target: Target, metric: str) -> None:
    keyed = {"metric": metric, "value": 1, "idempotency_key": metric}
    first = answer(target, "record_metric", metric=metric, value=1, idempotency_key=metric)

    recorded = answer(
        target, "record_metrics", metrics=[{"metric": metric, "value": 2}, {**keyed, "value": 3}, keyed]
    )

    assert recorded[1:] == [first, first]
    assert [row["value"] for row in recorded] == [2, 1, 1]


@pytest.mark.parametrize(
    ("metrics", "argument"),
    [
        (None, "metrics"),
        ([], "metrics"),
        ({}, "metrics"),
        ([{"metric": "x", "value": 1}] * 1001, "metrics"),
        ([1], "metrics[0]"),
        ([{"value": 1}], "metrics[0].metric"),
        ([{"metric": "x", "value": "many"}], "metrics[0].value"),
        ([{"metric": "x", "value": 1, "recorded_at": "soon"}], "metrics[0].recorded_at"),
        ([{"metric": "x", "value": 1, "valeu": 1}], "metrics[0].valeu"),
        ([{"metric": "x", "value": 1, "id": 1}], "metrics[0].id"),
    ],
)
def test_record_metrics__names_what_is_wrong(target: Target, metrics: Any, argument: str) -> None:
    assert problems(call(target, "service_key", "record_metrics", metrics=metrics)) == [argument]


# Who may ------------------------------------------------------------------------------------

FUNCTIONS: list[tuple[str, dict[str, Any]]] = [
    ("record_metric", {"metric": "test", "value": 1}),
    ("record_metrics", {"metrics": [{"metric": "test", "value": 1}]}),
    ("get_metric_series", {"metric": "test"}),
    ("get_latest_metrics", {}),
    ("set_metric_threshold", {"metric": "test", "warning": 1}),
    ("get_metric_thresholds", {}),
    ("delete_metric_threshold", {"metric": "test"}),
    ("get_system_events", {}),
    ("read_system_events", {}),
    ("get_system_event_cursor", {}),
]


@pytest.mark.parametrize("actor", ["anonymous", "user"])
@pytest.mark.parametrize(("function", "arguments"), FUNCTIONS)
def test_metrics__are_for_backends(
    target: Target, actor: str, function: str, arguments: dict[str, Any]
) -> None:
    response = call(target, actor, function, **arguments)

    if actor == "user":
        assert refusal(response)["error"] == "permission_denied"
    else:
        # Without a grant the function is not even called.
        assert response.json()["code"] == "42501"


@pytest.mark.parametrize("table", ["system_metrics", "metric_thresholds", "system_events"])
@pytest.mark.parametrize(
    ("role", "claims", "visible"),
    [
        ("authenticated", {}, 0),
        ("authenticated", {"user_metadata": {"role": "admin"}}, 0),
        ("authenticated", {"app_metadata": {"role": "service_account"}}, 1),
        ("authenticated", {"app_metadata": {"role": "admin"}}, 1),
        ("service_role", {}, 1),
    ],
)
def test_tables__are_seen_by_backends_only(
    database: Database, metric: str, table: str, role: str, claims: dict[str, Any], visible: int
) -> None:
    name = sql.SQL("data ->> 'metric'") if table == "system_events" else sql.Identifier("metric")
    query = sql.SQL("select count(*) from {} where {} = %s").format(sql.Identifier(table), name)
    with database.transaction(force_rollback=True):
        database.execute("select record_metric(%s, 5), set_metric_threshold(%s, 1)", (metric, metric))
        act(database, role, claims)
        row = database.execute(query, (metric,)).fetchone()

    assert row == (visible,)


@pytest.mark.parametrize("table", ["system_metrics", "metric_thresholds", "system_events"])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_tables__are_written_through_functions_only(database: Database, table: str, role: str) -> None:
    for verb in ("insert", "update", "delete", "truncate"):
        whole = database.execute("select has_table_privilege(%s, %s, %s)", (role, table, verb)).fetchone()
        assert whole == (False,)
    update = database.execute("select has_any_column_privilege(%s, %s, 'update')", (role, table)).fetchone()
    assert update == (False,)
    if role == "anon" or table != "system_metrics":
        insert = database.execute("select has_any_column_privilege(%s, %s, 'insert')", (role, table))
        assert insert.fetchone() == (False,)


def test_user__cannot_insert_metrics(database: Database) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with refused, database.transaction():
        act(database, "authenticated", {"sub": str(uuid4())})
        database.execute("insert into system_metrics (metric, value) values ('test', 1)")


# Reading ------------------------------------------------------------------------------------


def test_get_metric_series__sums_up_each_bucket(target: Target, metric: str) -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    answer(
        target,
        "record_metrics",
        metrics=[
            {
                "metric": metric,
                "value": value,
                "labels": {"host": host, "zone": "x"},
                "recorded_at": (start + timedelta(seconds=seconds)).isoformat(),
            }
            for value, host, seconds in [(10, "a", 0), (30, "a", 59.9), (20, "b", 30), (5, "a", 120)]
        ],
    )
    span = {"from_time": start.isoformat(), "to_time": (start + timedelta(minutes=2)).isoformat()}

    assert answer(target, "get_metric_series", metric=metric, **span) == [
        {
            "start": "2026-01-01T12:00:00+00:00",
            "count": 3,
            "avg": 20,
            "min": 10,
            "max": 30,
            "sum": 60,
            "last": 30,
            "p95": 29,
        }
    ]
    later = (start + timedelta(hours=1)).isoformat()
    whole = answer(
        target, "get_metric_series", metric=metric, **{**span, "to_time": later}, labels={"host": "a"}
    )
    assert [(bucket["start"][11:19], bucket["sum"]) for bucket in whole] == [
        ("12:00:00", 40),
        ("12:02:00", 5),
    ]
    hourly = answer(
        target, "get_metric_series", metric=metric, **{**span, "to_time": later}, bucket="1 hour", labels={}
    )
    assert [bucket["count"] for bucket in hourly] == [4]


def test_get_metric_series__is_of_the_last_hour_unless_told_otherwise(target: Target, metric: str) -> None:
    earlier = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    answer(target, "record_metric", metric=metric, value=1)
    answer(target, "record_metric", metric=metric, value=2, recorded_at=earlier)

    series = answer(target, "get_metric_series", metric=metric)

    assert [bucket["sum"] for bucket in series] == [1]


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"metric": None}, "metric"),
        ({"labels": []}, "labels"),
        ({"bucket": None}, "bucket"),
        ({"bucket": "0"}, "bucket"),
        ({"bucket": "-1 minutes"}, "bucket"),
        ({"bucket": "1 month"}, "bucket"),
        ({"bucket": "367 days"}, "bucket"),
        ({"bucket": "3 seconds"}, "bucket"),
        ({"from_time": "-infinity"}, "from_time"),
        ({"to_time": "infinity"}, "to_time"),
        ({"from_time": "2026-01-02T00:00:00Z", "to_time": "2026-01-01T00:00:00Z"}, "from_time"),
        ({"from_time": "2026-01-01T00:00:00Z", "to_time": "2026-01-01T00:00:00Z"}, "from_time"),
    ],
)
def test_get_metric_series__names_what_is_wrong(
    target: Target, metric: str, arguments: dict[str, Any], argument: str
) -> None:
    given = {"metric": metric, **arguments}

    assert problems(call(target, "service_key", "get_metric_series", **given)) == [argument]


def test_get_latest_metrics__has_the_newest_of_each_series(target: Target, metric: str) -> None:
    def at(value: int, seconds: int, name: str = metric, **labels: str) -> dict[str, Any]:
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        return {"metric": name, "value": value, "labels": labels, "recorded_at": moment.isoformat()}

    other = f"{metric}.other"
    answer(
        target,
        "record_metrics",
        metrics=[
            at(1, 1, host="a"),
            at(2, 3, host="a"),
            at(3, 2, host="a"),
            at(4, 1, host="b"),
            at(5, 1),
            at(6, 1, other, host="a"),
        ],
    )

    def values(metrics: list[str], **labels: str) -> set[int]:
        return {row["value"] for row in answer(target, "get_latest_metrics", metrics=metrics, labels=labels)}

    assert values([metric]) == {2, 4, 5}
    assert values([metric, other], host="a") == {2, 6}
    assert values([f"{metric}.none"]) == set()
    everything = answer(target, "get_latest_metrics")
    assert {2, 4, 5} <= {row["value"] for row in everything if row["metric"] == metric}


def test_get_latest_metrics__refuses_labels_that_are_no_object(target: Target) -> None:
    assert problems(call(target, "service_key", "get_latest_metrics", labels=[])) == ["labels"]


@pytest.mark.parametrize(
    "wanted",
    [
        "metric = 'rare' and recorded_at >= now() - interval '1 hour' order by recorded_at",
        "metric = 'rare' and labels = '{}' order by recorded_at desc, id desc limit 1",
        "(metric, labels) > ('a', '{}') order by metric, labels limit 1",
    ],
)
def test_metrics__are_found_by_index(database: Database, wanted: LiteralString) -> None:
    with database.transaction(force_rollback=True):
        database.execute(
            """
            insert into system_metrics (metric, value, recorded_at)
            select 'common', number, now() - number * interval '1 minute'
            from generate_series(1, 20000) as number
            """
        )
        database.execute("analyze system_metrics")
        query = sql.SQL("explain select * from system_metrics where ") + sql.SQL(wanted)
        plan = "\n".join(row[0] for row in database.execute(query))

    assert "Index Scan" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


# Thresholds ---------------------------------------------------------------------------------


def record(database: Database, metric: str, *values: float) -> None:
    """Record values one after the other, each in a statement of its own."""
    for value in values:
        database.execute("select record_metric(%s, %s::numeric)", (metric, value))


def test_threshold__crossed_either_way_writes_one_event(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80, 95)", (metric,))

    record(database, metric, 79.9, 80, 94, 95, 100, 90, 10, 5)

    assert crossings(database, metric) == [
        ("ok", "warning", "warning"),
        ("warning", "critical", "critical"),
        ("critical", "warning", "warning"),
        ("warning", "ok", "info"),
    ]


def test_threshold__below_counts_downwards(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 20, 5, 'below')", (metric,))

    record(database, metric, 21, 20, 5, 21)

    assert [(old, new) for old, new, _ in crossings(database, metric)] == [
        ("ok", "warning"),
        ("warning", "critical"),
        ("critical", "ok"),
    ]


@pytest.mark.parametrize(("limits", "states"), [((80, None), {"warning"}), ((None, 80), {"critical"})])
def test_threshold__may_have_one_limit(
    database: Database, metric: str, limits: tuple[int | None, int | None], states: set[str]
) -> None:
    database.execute("select set_metric_threshold(%s, %s, %s)", (metric, *limits))

    record(database, metric, 1000)

    assert {new for _, new, _ in crossings(database, metric)} == states


def test_threshold__judges_many_values_of_a_statement_in_their_order(
    target: Target, database: Database, metric: str
) -> None:
    answer(target, "set_metric_threshold", metric=metric, warning=10, critical=20)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    timed = [(3, 25), (1, 15), (2, 5), (4, 25)]

    answer(
        target,
        "record_metrics",
        actor="service_account",
        metrics=[
            {
                "metric": metric,
                "value": value,
                "recorded_at": (start + timedelta(seconds=second)).isoformat(),
            }
            for second, value in timed
        ],
    )

    assert [(old, new) for old, new, _ in crossings(database, metric)] == [
        ("ok", "warning"),
        ("warning", "ok"),
        ("ok", "critical"),
    ]


def test_threshold__judges_values_without_times_as_they_were_given(
    target: Target, database: Database, metric: str
) -> None:
    answer(target, "set_metric_threshold", metric=metric, warning=10, critical=20)
    keys = (f"{metric}-{letter}" for letter in "dbca")

    answer(
        target,
        "record_metrics",
        metrics=[
            {"metric": metric, "value": value, "idempotency_key": key}
            for value, key in zip((15, 5, 25, 15), keys, strict=True)
        ],
    )

    assert [(old, new) for old, new, _ in crossings(database, metric)] == [
        ("ok", "warning"),
        ("warning", "ok"),
        ("ok", "critical"),
        ("critical", "warning"),
    ]


def test_threshold__is_not_moved_by_a_value_that_comes_late(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 10)", (metric,))
    record(database, metric, 50)

    database.execute("select record_metric(%s, 1, recorded_at => now() - interval '1 minute')", (metric,))

    assert [(old, new) for old, new, _ in crossings(database, metric)] == [("ok", "warning")]


def test_threshold__keeps_state_and_last_value(target: Target, metric: str) -> None:
    before = answer(target, "set_metric_threshold", metric=metric, warning=10)
    for value in (50, 60):
        recorded = answer(target, "record_metric", metric=metric, value=value)

    after = next(row for row in answer(target, "get_metric_thresholds") if row["metric"] == metric)

    assert (before["state"], before["last_value"]) == ("ok", None)
    assert (after["state"], after["last_value"]) == ("warning", 60)
    assert after["last_recorded_at"] == recorded["recorded_at"]
    assert before["since"] < after["since"] < after["last_recorded_at"]


def test_set_metric_threshold__judges_the_newest_value_at_once(database: Database, metric: str) -> None:
    record(database, metric, 5, 50)

    for limits in ((10, 100), (10, 100), (1, 2), (60, 70)):
        database.execute("select set_metric_threshold(%s, %s, %s)", (metric, *limits))

    assert [(old, new) for old, new, _ in crossings(database, metric)] == [
        ("ok", "warning"),
        ("warning", "critical"),
        ("critical", "ok"),
    ]


def test_threshold__event_says_what_was_measured(target: Target, metric: str) -> None:
    answer(target, "set_metric_threshold", metric=metric, warning=10, critical=20)
    recorded = answer(target, "record_metric", metric=metric, value=12, labels={"host": "a"})

    page = answer(target, "get_system_events", type="metric.threshold", severity="warning", page_size=500)
    (event,) = (event for event in page["items"] if event["data"]["metric"] == metric)

    assert event["data"] == {
        "metric": metric,
        "value": 12,
        "labels": {"host": "a"},
        "recorded_at": recorded["recorded_at"],
        "from": "ok",
        "to": "warning",
        "direction": "above",
        "warning": 10,
        "critical": 20,
    }


def test_threshold__crossed_by_many_sessions_at_once_writes_one_event(
    target: Target, database: Database, metric: str
) -> None:
    database.execute("select set_metric_threshold(%s, 10)", (metric,))

    def cross(value: int) -> None:
        with closing(target.connect()) as session:
            record(session, metric, *range(value, value + 20))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cross, range(100, 108)))

    assert crossings(database, metric) == [("ok", "warning", "warning")]


def test_thresholds__of_many_metrics_recorded_at_once_do_not_deadlock(
    target: Target, database: Database, metric: str
) -> None:
    names = [f"{metric}.{number}" for number in range(5)]
    for name in names:
        database.execute("select set_metric_threshold(%s, 10)", (name,))

    def cross(turn: int) -> None:
        ordered = names if turn % 2 else names[::-1]
        values = json.dumps([{"metric": name, "value": turn} for name in ordered])
        with closing(target.connect()) as session:
            for _ in range(20):
                session.execute("select count(*) from record_metrics(%s)", (values,))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(cross, range(20, 26)))

    assert {name: len(crossings(database, name)) for name in names} == dict.fromkeys(names, 1)


def record_for(database: Database, metric: str, host: str, *values: float) -> None:
    """Record values of the series of a host, each in a statement of its own."""
    for value in values:
        database.execute(
            "select record_metric(%s, %s::numeric, labels => jsonb_build_object('host', %s::text))",
            (metric, value, host),
        )


def told(database: Database, metric: str) -> list[tuple[Any, ...]]:
    """(host, from, to) of each event of a metric's threshold, in their order."""
    return database.execute(
        """
        select data #>> '{labels,host}', data ->> 'from', data ->> 'to' from system_events
        where type = 'metric.threshold' and data ->> 'metric' = %s order by id
        """,
        (metric,),
    ).fetchall()


def threshold_state(database: Database, metric: str) -> str | None:
    row = database.execute("select state from metric_thresholds where metric = %s", (metric,)).fetchone()
    return None if row is None else row[0]


def series_states(database: Database, metric: str) -> dict[str, str]:
    """Host to state, as latest_metrics has them."""
    query = "select labels ->> 'host', state from latest_metrics where metric = %s"
    return dict(database.execute(query, (metric,)).fetchall())


def test_threshold__judges_each_series_by_itself(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80, 95)", (metric,))

    for _ in range(2):
        record_for(database, metric, "a", 99)
        record_for(database, metric, "b", 10)

    assert told(database, metric) == [("a", "ok", "critical")]
    assert threshold_state(database, metric) == "critical"
    assert series_states(database, metric) == {"a": "critical", "b": "ok"}


def test_threshold__is_in_the_worst_state_of_its_series(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80, 95)", (metric,))
    states = []

    for host, value in (("a", 85), ("b", 99), ("a", 10), ("b", 90), ("b", 10)):
        record_for(database, metric, host, value)
        states.append(threshold_state(database, metric))

    assert states == ["warning", "critical", "critical", "warning", "ok"]


def test_threshold__compares_the_times_within_a_series(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80)", (metric,))
    record_for(database, metric, "a", 10)

    database.execute(
        """
        select record_metric(%s, 99, labels => '{"host": "b"}', recorded_at => now() - interval '1 minute')
        """,
        (metric,),
    )

    assert told(database, metric) == [("b", "ok", "warning")]
    assert threshold_state(database, metric) == "warning"


def test_threshold__judges_several_series_of_a_call_in_their_order(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80)", (metric,))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    given = [("a", 3, 99), ("b", 2, 10), ("a", 1, 90), ("b", 1, 90), ("a", 2, 10)]

    values = [
        {
            "metric": metric,
            "value": value,
            "labels": {"host": host},
            "recorded_at": (start + timedelta(seconds=second)).isoformat(),
        }
        for host, second, value in given
    ]
    database.execute("select count(*) from record_metrics(%s)", (json.dumps(values),))

    assert [(old, new) for host, old, new in told(database, metric) if host == "a"] == [
        ("ok", "warning"),
        ("warning", "ok"),
        ("ok", "warning"),
    ]
    assert [(old, new) for host, old, new in told(database, metric) if host == "b"] == [
        ("ok", "warning"),
        ("warning", "ok"),
    ]
    assert series_states(database, metric) == {"a": "warning", "b": "ok"}


def test_set_metric_threshold__judges_the_newest_value_of_each_series(
    database: Database, metric: str
) -> None:
    record_for(database, metric, "a", 10, 50)
    record_for(database, metric, "b", 70, 5)

    for limits in ((40, 60), (1, 2), (60, 70)):
        database.execute("select set_metric_threshold(%s, %s, %s)", (metric, *limits))

    assert sorted(told(database, metric)) == [
        ("a", "critical", "ok"),
        ("a", "ok", "warning"),
        ("a", "warning", "critical"),
        ("b", "critical", "ok"),
        ("b", "ok", "critical"),
    ]
    assert threshold_state(database, metric) == "ok"


def test_delete_metric_threshold__forgets_the_states_of_its_series(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80)", (metric,))
    record_for(database, metric, "a", 99)

    database.execute("select delete_metric_threshold(%s)", (metric,))

    assert series_states(database, metric) == {"a": None}
    left = database.execute("select from private.metric_states where metric = %s", (metric,)).fetchall()
    assert left == []


def test_series_without_values__has_no_state_any_more(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80, 95)", (metric,))
    record_for(database, metric, "gone", 99)
    record_for(database, metric, "there", 85)
    record_for(database, metric, "fine", 1)

    database.execute(
        "delete from system_metrics where metric = %s and labels ->> 'host' in ('gone', 'fine')", (metric,)
    )

    assert told(database, metric) == [
        ("gone", "ok", "critical"),
        ("there", "ok", "warning"),
        ("gone", "critical", "ok"),
    ]
    assert threshold_state(database, metric) == "warning"
    (event,) = database.execute(
        "select data -> 'is_gone' from system_events where data ->> 'metric' = %s and severity = 'info'",
        (metric,),
    ).fetchall()
    assert event == (True,)


def test_series_with_values_left__keeps_its_state(database: Database, metric: str) -> None:
    database.execute("select set_metric_threshold(%s, 80)", (metric,))
    record_for(database, metric, "a", 90, 99)

    database.execute("delete from system_metrics where metric = %s and value = 90", (metric,))

    assert told(database, metric) == [("a", "ok", "warning")]
    assert threshold_state(database, metric) == "warning"


def test_threshold__of_series_recorded_by_many_sessions_at_once_tells_each_once(
    target: Target, database: Database, metric: str
) -> None:
    database.execute("select set_metric_threshold(%s, 80, 95)", (metric,))
    hosts = {"a": 99, "b": 85, "c": 10}

    def keep_recording(turn: int) -> None:
        ordered = sorted(hosts, reverse=turn % 2 == 0)
        with closing(target.connect()) as session:
            for _ in range(10):
                for host in ordered:
                    record_for(session, metric, host, hosts[host])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(keep_recording, range(6)))

    assert sorted(told(database, metric)) == [("a", "ok", "critical"), ("b", "ok", "warning")]
    assert threshold_state(database, metric) == "critical"
    assert series_states(database, metric) == {"a": "critical", "b": "warning", "c": "ok"}


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"metric": None}, "metric"),
        ({"metric": "two words"}, "metric"),
        ({"warning": None}, "critical"),
        ({"warning": "NaN"}, "warning"),
        ({"critical": "Infinity"}, "critical"),
        ({"warning": 10, "critical": 5}, "critical"),
        ({"warning": 5, "critical": 10, "direction": "below"}, "critical"),
        ({"direction": None}, "direction"),
        ({"direction": "sideways"}, "direction"),
    ],
)
def test_set_metric_threshold__names_what_is_wrong(
    target: Target, metric: str, arguments: dict[str, Any], argument: str
) -> None:
    given = {"metric": metric, "warning": 1, **arguments}

    assert problems(call(target, "service_key", "set_metric_threshold", **given)) == [argument]


def test_delete_metric_threshold__ends_its_judgements(
    target: Target, database: Database, metric: str
) -> None:
    answer(target, "set_metric_threshold", metric=metric, warning=1)

    assert answer(target, "delete_metric_threshold", metric=metric)["metric"] == metric

    record(database, metric, 5)
    assert crossings(database, metric) == []
    again = call(target, "service_key", "delete_metric_threshold", metric=metric)
    assert refusal(again)["error"] == "not_found"


# System events ------------------------------------------------------------------------------


def test_get_system_events__pages_newest_first(target: Target, database: Database) -> None:
    kind = f"test_{uuid4().hex}"
    for number in range(5):
        database.execute(
            "select private.record_system_event(%s, 'info', %s)", (kind, json.dumps({"n": number}))
        )

    pages, cursor = [], None
    while True:
        page = answer(target, "get_system_events", "service_account", type=kind, page_size=2, cursor=cursor)
        pages.append([event["data"]["n"] for event in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert pages == [[4, 3], [2, 1], [0]]


def test_get_system_events__filters(target: Target, database: Database) -> None:
    kind = f"test_{uuid4().hex}"
    for severity in ("info", "critical"):
        database.execute("select private.record_system_event(%s, %s)", (kind, severity))
    second, first = answer(target, "get_system_events", type=kind)["items"]

    def found(**filters: Any) -> list[int]:
        return [event["id"] for event in answer(target, "get_system_events", type=kind, **filters)["items"]]

    assert found(severity="critical") == [second["id"]]
    assert found(from_time=second["created_at"]) == [second["id"]]
    assert found(to_time=second["created_at"]) == [first["id"]]


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"severity": "bogus"}, "severity"),
        ({"from_time": "2026-01-02T00:00:00Z", "to_time": "2026-01-01T00:00:00Z"}, "from_time"),
        ({"from_time": "-infinity"}, "from_time"),
        ({"to_time": "infinity"}, "to_time"),
    ],
)
def test_get_system_events__names_what_is_wrong(
    target: Target, arguments: dict[str, Any], argument: str
) -> None:
    assert problems(call(target, "service_key", "get_system_events", **arguments)) == [argument]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"page_size": 0}, "invalid_argument"),
        ({"page_size": 501}, "invalid_argument"),
        ({"page_size": None}, "invalid_argument"),
        ({"cursor": "nonsense"}, "invalid_cursor"),
    ],
)
def test_get_system_events__refuses(target: Target, arguments: dict[str, Any], error: str) -> None:
    assert refusal(call(target, "service_key", "get_system_events", **arguments))["error"] == error


def read_on(target: Target, after: str | None, **arguments: Any) -> tuple[list[dict[str, Any]], str]:
    """The events after a cursor, and where to go on."""
    found: list[dict[str, Any]] = []
    while True:
        page = answer(target, "read_system_events", "service_account", after=after, **arguments)
        found += page["items"]
        after = page["next_cursor"]
        if not page["more"]:
            return found, after


@pytest.mark.local_stack
def test_read_system_events__goes_through_all_in_pages_and_on(own_target: Target) -> None:
    with own_target.connect() as session:
        for number in range(5):
            session.execute(
                "select private.record_system_event('test', 'info', %s)", (json.dumps({"n": number}),)
            )
        whole, end = read_on(own_target, None)
        in_pages, same_end = read_on(own_target, None, max_events=2)
        now = answer(own_target, "get_system_event_cursor")
        session.execute("select private.record_system_event('later', 'critical')")
        session.execute("select private.record_system_event('other', 'warning')")

    assert [event["data"]["n"] for event in whole] == [0, 1, 2, 3, 4]
    assert in_pages == whole
    for cursor in (end, same_end, now):
        assert [event["type"] for event in read_on(own_target, cursor)[0]] == ["later", "other"]
    assert [event["type"] for event in read_on(own_target, now, severity=["warning"])[0]] == ["other"]
    assert [event["type"] for event in read_on(own_target, now, types=["later", "none"])[0]] == ["later"]


@pytest.mark.local_stack
def test_read_system_events__skips_none_that_commits_late(own_target: Target) -> None:
    with own_target.connect() as slow, own_target.connect() as quick:
        with slow.transaction():
            slow.execute("select private.record_system_event('late', 'info')")
            quick.execute("select private.record_system_event('early', 'info')")
            before, cursor = read_on(own_target, None)
        after, _ = read_on(own_target, cursor)

    assert before == []
    assert [event["type"] for event in after] == ["late", "early"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_events": 0}, "invalid_argument"),
        ({"max_events": 1001}, "invalid_argument"),
        ({"max_events": None}, "invalid_argument"),
        ({"severity": ["warning", "fatal"]}, "invalid_argument"),
        ({"after": "nonsense"}, "invalid_cursor"),
    ],
)
def test_read_system_events__refuses(target: Target, arguments: dict[str, Any], error: str) -> None:
    assert refusal(call(target, "service_key", "read_system_events", **arguments))["error"] == error


def test_is_plain_number__refuses_what_clients_cannot_read(database: Database) -> None:
    row = database.execute(
        "select array_agg(private.is_plain_number(value)) from unnest(%s::numeric[]) as value",
        ([Decimal(0), Decimal("1e300"), Decimal("-1e-300"), Decimal("1e301"), Decimal("NaN")],),
    ).fetchone()

    assert row == ([True, True, True, False, False],)
