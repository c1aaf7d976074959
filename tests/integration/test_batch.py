"""run_batch: many calls in one request, atomic, with the caller's rights, over SQL and HTTP."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from reelbase import JobStatus
from support import Target, eventually

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
Database = psycopg.Connection[tuple[Any, ...]]
Json = Any

VIDEO = {"output_format": "mp4", "width": 64, "height": 36}
TEXT = {"type": "text", "text_content": "Hello"}
NOBODY_S = str(UUID(int=1))

with_fixtures = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def call(function: str, **arguments: Json) -> dict[str, Json]:
    return {"function": function, "arguments": arguments}


def ref(path: str) -> dict[str, str]:
    return {"$ref": path}


def run(session: Database, *calls: Json) -> list[Json]:
    """A batch in a direct session."""
    row = session.execute("select public.run_batch(%s)", (Jsonb(list(calls)),)).fetchone()
    assert row is not None
    return cast("list[Json]", row[0])


def refusal(session: Database, *calls: Json) -> tuple[psycopg.Error, dict[str, Json]]:
    """The error of a batch that is refused, and its detail."""
    with pytest.raises(psycopg.Error) as caught, session.transaction():
        run(session, *calls)
    return caught.value, json.loads(caught.value.diag.message_detail or "null")


def problems(session: Database, *calls: Json) -> dict[str, str]:
    """The problems of a batch with wrong arguments."""
    error, detail = refusal(session, *calls)
    assert (error.sqlstate, detail["error"]) == ("PT422", "invalid_argument")
    return {problem["argument"]: problem["problem"] for problem in detail["problems"]}


class Api:
    """The Data API as one actor."""

    def __init__(self, target: Target, token: str | None = None, key: str | None = None) -> None:
        key = key or target.anon_key
        self._url = f"{target.url}/rest/v1/rpc"
        self._headers = {"apikey": key, "Authorization": f"Bearer {token or key}"}

    def rpc(self, function: str, **arguments: Json) -> httpx.Response:
        return httpx.post(f"{self._url}/{function}", json=arguments, headers=self._headers, timeout=30)

    def batch(self, *calls: Json) -> httpx.Response:
        return self.rpc("run_batch", calls=list(calls))


@pytest.fixture
def api(target: Target) -> Api:
    """The Data API as a backend."""
    return Api(target, key=target.service_role_key)


@pytest.fixture
def job(database: Database) -> str:
    """A job of a backend."""
    return str(run(database, call("create_job", **VIDEO))[0]["id"])


# Running --------------------------------------------------------------------------------------


def test_batch__makes_a_job_with_what_belongs_to_it(api: Api) -> None:
    response = api.batch(
        call("create_job", **VIDEO),
        call("add_job_element", job_id=ref("0.id"), **TEXT),
        call("add_job_element", job_id=ref("0.id"), **TEXT, metadata={"below": [ref("1.id")]}),
        call("start_processing_step", job_id=ref("2.job_id"), step="validation"),
        call("get_job_elements", job_id=ref("0.id")),
    )

    assert response.status_code == httpx.codes.OK
    job, first, second, step, elements = response.json()
    assert elements == [first, second]
    assert second["metadata"] == {"below": [first["id"]]}
    assert (step["job_id"], step["step"]) == (job["id"], "validation")
    assert api.rpc("get_job", job_id=job["id"]).json()["current_step"] == "validation"


def test_references__reach_into_sets_from_either_end(database: Database) -> None:
    made, rows, _, done = run(
        database,
        call("create_video_job", **VIDEO, elements=[TEXT, TEXT]),
        call("get_job_elements", job_id=ref("0.job.id")),
        call(
            "create_job", **VIDEO, metadata={"first": ref("1.0.id"), "last": ref("1.-1.id"), "all": ref("1")}
        ),
        call("get_job", job_id=ref("2.id")),
    )

    assert rows == made["elements"]
    assert done["metadata"] == {"first": rows[0]["id"], "last": rows[1]["id"], "all": rows}


def test_reference__to_null_is_null(database: Database) -> None:
    made = run(
        database, call("create_job", **VIDEO), call("create_job", **VIDEO, metadata={"a": ref("0.user_id")})
    )
    assert made[1]["metadata"] == {"a": None}


def test_null__is_passed_on_and_a_missing_argument_takes_the_default(database: Database) -> None:
    made = run(database, call("create_job", **VIDEO, estimated_duration=None), {"function": "list_jobs"})

    assert (made[0]["estimated_duration"], made[0]["fps"]) == (None, 30)
    assert made[1]["items"][0]["id"]
    assert problems(database, call("create_job", **{**VIDEO, "width": None})) == {
        "calls[0].arguments.width": "is required"
    }


def test_batch__takes_a_hundred_calls_and_no_more(api: Api) -> None:
    first = call("create_job", **VIDEO)
    others = [
        call("add_job_element", job_id=ref("0.id"), **TEXT, metadata={"n": ref(f"{n}.id")}) for n in range(99)
    ]

    made = api.batch(first, *others)
    refused = api.batch(first, *others, call("get_job", job_id=ref("0.id")))

    assert [element["element_order"] for element in made.json()[1:]] == list(range(99))
    assert made.json()[99]["metadata"] == {"n": made.json()[98]["id"]}
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert refused.json()["message"] == "calls must be a JSON array of 1 to 100 items"


def test_third_call_fails__nothing_exists(api: Api, database: Database) -> None:
    marker = str(uuid4())
    response = api.batch(
        call("create_job", **VIDEO, metadata={"marker": marker}),
        call("add_job_element", job_id=ref("0.id"), **TEXT),
        call("add_job_element", job_id=ref("0.id"), **TEXT, element_order=0),
    )

    assert response.status_code == httpx.codes.CONFLICT
    body = response.json()
    details = json.loads(body["details"])
    assert (details["error"], details["call"], details["function"]) == ("order_taken", 2, "add_job_element")
    assert details["constraint"] == "elements_order_unique"
    assert body["hint"] == "Choose another element_order, or leave it out to add elements at the end."
    rows = database.execute("select id from jobs where metadata ->> 'marker' = %s", (marker,)).fetchall()
    assert rows == []


def exactly(response: httpx.Response) -> Json:
    """A response with every number as it is written."""
    assert response.status_code == httpx.codes.OK
    return json.loads(response.text, parse_float=str, parse_int=str)


def test_results__are_what_the_data_api_returns(api: Api) -> None:
    made = exactly(
        api.batch(
            call(
                "create_video_job",
                **VIDEO,
                fps=29.970,
                metadata={"a": [1.50, None, "é\n"]},
                user_id=str(uuid4()),
                elements=[TEXT, {**TEXT, "start_time": 1.250}],
            )
        )
    )[0]
    job_id, user_id = made["job"]["id"], made["job"]["user_id"]

    for function, arguments in {
        "get_job": {"job_id": job_id},
        "get_job_elements": {"job_id": job_id},
        "get_processing_timeline": {"job_id": job_id},
        "read_job_events": {"job_id": job_id, "max_events": 2},
        "list_jobs": {"user_id": user_id, "status": ["pending", "failed"], "page_size": 1},
    }.items():
        assert exactly(api.batch(call(function, **arguments))) == [exactly(api.rpc(function, **arguments))]
    assert made["job"] == exactly(api.rpc("get_job", job_id=job_id))
    assert made["elements"] == exactly(api.rpc("get_job_elements", job_id=job_id))
    assert [made["step"]] == exactly(api.rpc("get_processing_timeline", job_id=job_id))
    assert set(made) == set(api.rpc("create_video_job", **VIDEO, elements=[TEXT]).json())


@pytest.mark.parametrize(
    ("signature", "body", "arguments", "result"),
    [
        ("() returns void", "select", {}, None),
        ("() returns integer", "select 7", {}, 7),
        ("() returns text", "select null::text", {}, None),
        ("(n integer) returns setof integer", "select generate_series(1, n)", {"n": 3}, [1, 2, 3]),
        ("(n integer) returns setof integer", "select 1 where n > 9", {"n": 3}, []),
        ("(n integer) returns table (a integer)", "select n", {"n": 3}, [{"a": 3}]),
        ("(n integer, out a text, out b int)", "select 'x', n", {"n": 3}, {"a": "x", "b": 3}),
        ("(n integer, out a integer)", "select n", {"n": 3}, {"a": 3}),
        ("(inout n integer)", "select n + 1", {"n": 3}, {"n": 4}),
        ("(list integer[]) returns integer[]", "select list || 1", {"list": [3]}, [3, 1]),
        (
            "(\"a b\" text default 'x', \"C\" text default 'y') returns text ",
            'select "a b" || "C"',
            {"C": "z"},
            "xz",
        ),
        (
            "(moment timestamptz) returns timestamptz",
            "select moment",
            {"moment": "2026-01-01T00:00Z"},
            "2026-01-01T00:00:00+00:00",
        ),
    ],
)
def test_every_kind_of_function__runs(
    database: Database, signature: str, body: str, arguments: dict[str, Json], result: Json
) -> None:
    with database.transaction(force_rollback=True):
        database.execute("set local timezone to 'UTC'")
        make(database, "probe", f"{signature} language sql", body)
        assert run(database, call("probe", **arguments)) == [result]


def make(session: Database, name: str, signature: str, body: str) -> None:
    """A function that batches can run."""
    statement = f"create function public.{name}{signature} as $body${body}$body$"
    session.execute(statement.encode())
    session.execute(
        "insert into private.batch_functions (function) values (%s) on conflict do nothing", (name,)
    )


# Refusals -------------------------------------------------------------------------------------

REQUIRED_LIST = "must be a JSON array of 1 to 100 items"
SYNTAX = "must refer to an earlier call as in 0.id (a literal $ref is written $$ref)"
WHOLE = "must be a whole number that fits integer"
OBJECT = "must be a JSON object with function and arguments"
NAME = "must be the name of a function"
RUNNABLE = 'must be a function that a batch can run, not "{}"'
EARLIER = "must refer to an earlier call, not to {}"
NO_PART = "refers to {}, which is no part of that result"
BAD_REFERENCES = (
    *("", "id", ".id", "0.", "0..id", "-1.id", "00.id", " 0.id", "0 .id", "9999999999"),
    *(0, None, ["0.id"], {"a": 1}),
)
STATUSES = ", ".join(JobStatus)


@pytest.mark.parametrize("calls", [None, {}, [], "calls", 1])
def test_calls__must_be_a_list(database: Database, calls: Json) -> None:
    with pytest.raises(psycopg.Error, match=f"calls {REQUIRED_LIST}"):
        database.execute("select public.run_batch(%s)", (Jsonb(calls),))


def test_calls__must_not_be_null(database: Database) -> None:
    with pytest.raises(psycopg.Error, match=f"calls {REQUIRED_LIST}"):
        database.execute("select public.run_batch(null)")


def test_ten_megabytes__are_refused(api: Api) -> None:
    response = api.batch(call("create_job", **VIDEO, request_body={"a": "x" * 10_000_000}))

    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert response.json()["message"] == "calls must be at most 1 MiB of JSON"


@pytest.mark.parametrize(("more", "refused"), [(0, "calls[0].arguments.pad"), (1, "calls")])
def test_size__is_that_of_the_text(database: Database, more: int, refused: str) -> None:
    empty = len(json.dumps([call("list_jobs", pad="")]))
    padded = call("list_jobs", pad="x" * (2**20 - empty + more))
    assert set(problems(database, padded)) == {refused}


@pytest.mark.parametrize(
    ("given", "argument", "problem"),
    [
        (1, "", OBJECT),
        (None, "", OBJECT),
        ([], "", OBJECT),
        ({}, ".function", "is required"),
        ({"function": None}, ".function", NAME),
        ({"function": 7}, ".function", NAME),
        ({"function": ""}, ".function", RUNNABLE.format("")),
        (call("run_batch", calls=[]), ".function", RUNNABLE.format("run_batch")),
        (call("pg_sleep"), ".function", RUNNABLE.format("pg_sleep")),
        (call("public.get_job"), ".function", RUNNABLE.format("public.get_job")),
        (call("x" * 99), ".function", RUNNABLE.format("x" * 63)),
        ({"function": "list_jobs", "arguments": []}, ".arguments", "must be a JSON object"),
        ({"function": "list_jobs", "arguments": None}, ".arguments", "must be a JSON object"),
        ({"function": "list_jobs", "args": {}}, ".args", "is not known here"),
        (call("list_jobs", pages=1), ".arguments.pages", "is no argument of list_jobs"),
        (call("list_jobs", Status=[]), ".arguments.Status", "is no argument of list_jobs"),
        (call("list_jobs", **{"": 1}), ".arguments", "is no argument of list_jobs"),
        ({"function": "list_jobs", **ref("0")}, ".$ref", "is not known here"),
        ({"function": "list_jobs", "arguments": ref("0")}, ".arguments.$ref", "is no argument of list_jobs"),
        (call("get_job"), ".arguments.job_id", "is required"),
        (call("get_job", job_id="7"), ".arguments.job_id", "must be a UUID"),
        (call("get_job", job_id={}), ".arguments.job_id", "must be a UUID"),
        (call("get_job", job_id=True), ".arguments.job_id", "must be a UUID"),
        (call("list_jobs", page_size=1.5), ".arguments.page_size", WHOLE),
        (call("list_jobs", page_size=2**31), ".arguments.page_size", WHOLE),
        (call("list_jobs", page_size=[1]), ".arguments.page_size", WHOLE),
        (call("list_jobs", client_ip="localhost"), ".arguments.client_ip", "must be an IP address"),
        (call("list_jobs", oldest_first="perhaps"), ".arguments.oldest_first", "must be true or false"),
        (
            call("list_jobs", status=["lost"]),
            ".arguments.status",
            f"must be a list, of which each must be one of {STATUSES}",
        ),
        (
            call("create_job", **VIDEO, response_type="later"),
            ".arguments.response_type",
            "must be one of immediate, async",
        ),
        (call("create_job", **VIDEO, fps="fast"), ".arguments.fps", "must be a number"),
        (call("get_job", job_id=ref("1.id")), ".arguments.job_id", EARLIER.format("1.id")),
        (call("get_job", job_id=ref("2.id")), ".arguments.job_id", EARLIER.format("2.id")),
        (
            call("get_job", job_id=ref("999999999.id")),
            ".arguments.job_id",
            EARLIER.format("999999999.id"),
        ),
        *[(call("get_job", job_id={"$ref": given}), ".arguments.job_id", SYNTAX) for given in BAD_REFERENCES],
        (
            call("create_job", **VIDEO, metadata={"a": [1, {"b": ref("5")}]}),
            ".arguments.metadata.a[1].b",
            EARLIER.format("5"),
        ),
        (call("get_job", job_id=ref("0.nope")), ".arguments.job_id", NO_PART.format("0.nope")),
        (
            call("get_job", job_id=ref("0.items.700.id")),
            ".arguments.job_id",
            NO_PART.format("0.items.700.id"),
        ),
        (
            call("create_job", **VIDEO, metadata=[ref("0.items.id")]),
            ".arguments.metadata[0]",
            NO_PART.format("0.items.id"),
        ),
        (call("get_job", job_id=ref("0.items")), ".arguments.job_id", "must be a UUID"),
        (call("get_job", job_id={"$$ref": "0.id"}), ".arguments.job_id", "must be a UUID"),
    ],
)
def test_wrong_call__is_told_by_place_and_words(
    database: Database, given: Json, argument: str, problem: str
) -> None:
    assert problems(database, call("list_jobs", page_size=1), given) == {f"calls[1]{argument}": problem}


def test_all_problems__are_told_at_once(database: Database) -> None:
    found = problems(
        database,
        call("create_job", width="wide", height=1.5, colour="red", fps=ref("x")),
        {"function": "no_such", "arguments": 1, "also": 2},
        call("get_job", job_id=5),
    )

    assert found == {
        "calls[0].arguments.output_format": "is required",
        "calls[0].arguments.width": WHOLE,
        "calls[0].arguments.height": WHOLE,
        "calls[0].arguments.colour": "is no argument of create_job",
        "calls[0].arguments.fps": SYNTAX,
        "calls[1].function": RUNNABLE.format("no_such"),
        "calls[1].arguments": "must be a JSON object",
        "calls[1].also": "is not known here",
        "calls[2].arguments.job_id": "must be a UUID",
    }


def test_all_problems_with_references__are_told_at_once(database: Database) -> None:
    paths = {
        "job_id": ref("0.width"),
        "progress_percentage": ref("0.metadata"),
        "current_step": ref("0.status"),
    }

    assert problems(database, call("create_job", **VIDEO), call("update_job_progress", **paths)) == {
        "calls[1].arguments.job_id": "must be a UUID",
        "calls[1].arguments.progress_percentage": "must be a number",
        "calls[1].arguments.current_step": "must be one of validation, download, processing, composition, "
        "encoding, upload, cleanup",
    }


def test_first_wrong_call__is_named_in_the_detail(database: Database) -> None:
    error, detail = refusal(database, call("list_jobs"), call("get_job"), call("get_job", job_id=1))

    assert (detail["call"], detail["function"]) == (1, "get_job")
    assert str(error.diag.message_primary) == (
        "calls[1].arguments.job_id is required; calls[2].arguments.job_id must be a UUID"
    )


def test_a_flood_of_problems__is_cut_short(database: Database) -> None:
    flood = call("list_jobs", **{f"argument_{number}": 1 for number in range(5000)})
    assert len(problems(database, flood)) == 100


def test_wrong_form__is_refused_before_anything_runs(database: Database) -> None:
    found = problems(database, call("create_job", **{**VIDEO, "width": -1}), call("get_job", job_id="x"))
    assert found == {"calls[1].arguments.job_id": "must be a UUID"}


def test_overloaded_function__is_refused(database: Database) -> None:
    with database.transaction(force_rollback=True):
        make(database, "probe", "() returns integer language sql", "select 1")
        make(database, "probe", "(n integer) returns integer language sql", "select n")
        found = problems(database, call("probe", n=1))

    assert found == {"calls[0].function": "must name one function; there are 2 of the name probe"}


def test_listed_function_that_does_not_exist__is_refused(database: Database) -> None:
    with database.transaction(force_rollback=True):
        database.execute("insert into private.batch_functions (function) values ('probe')")
        found = problems(database, call("probe"))

    assert found == {"calls[0].function": "must be a function of this database, which has no probe"}


def test_names__are_no_way_to_inject_sql(database: Database) -> None:
    name = 'x"; drop table jobs; --'
    argument = "job_id => null); drop table jobs; --"

    assert set(problems(database, call(name))) == {"calls[0].function"}
    assert f"calls[0].arguments.{argument}" in problems(database, call("get_job", **{argument: 1}))
    with database.transaction(force_rollback=True):
        quoted = name.replace('"', '""')
        make(database, f'"{quoted}"', f'("{quoted}" text) returns text language sql', f'select "{quoted}"')
        database.execute("insert into private.batch_functions (function) values (%s)", (name,))
        assert run(database, call(name, **{name: "'; select"})) == ["'; select"]


@pytest.mark.parametrize("levels", [64, 65])
@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_depth__has_a_limit(database: Database, levels: int, opening: str, closing: str) -> None:
    """With a reference at the bottom, so that all levels are walked."""
    depth = levels - 2  # the arguments are one level, a reference is one more
    value = json.loads(opening * depth + '{"$ref": "0.id"}' + closing * depth)

    found = problems(database, call("create_job", **VIDEO), call("create_job", **VIDEO, metadata=value))

    assert found == (
        {"calls[1].arguments": "must be at most 64 levels deep"}
        if levels > 64
        else {"calls[1].arguments.metadata": "must be a plain JSON object of at most 64 KiB"}
    )


def test_thousands_of_levels__are_refused_too(database: Database) -> None:
    value = "[" * 2000 + "]" * 2000
    calls = f'[{{"function": "create_job", "arguments": {{"metadata": {value}}}}}]'
    with pytest.raises(psycopg.Error, match="must be at most 64 levels deep"):
        database.execute("select public.run_batch(%s::jsonb)", (calls,))


def test_references__do_not_multiply_results_beyond_measure(database: Database) -> None:
    big = call("create_job", **VIDEO, request_body={"a": "x" * 100_000})
    many = call("create_job", **VIDEO, request_body={"all": [ref("0")] * 20})

    assert problems(database, big, many) == {
        "calls[1].arguments": "must not refer to more than 1 MiB of results"
    }


def test_rule_of_a_function__keeps_its_words_and_names_the_call(api: Api) -> None:
    wrong = {"output_format": "avi", "width": ref("0.width"), "height": 1, "metadata": {"a": "x" * 70_000}}
    alone = api.rpc("create_job", **{**wrong, "width": 64}).json()
    response = api.batch(call("create_job", **VIDEO), call("create_job", **wrong))

    body = response.json()
    details, details_alone = json.loads(body["details"]), json.loads(alone["details"])
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert (body["code"], body["message"], body["hint"]) == (alone["code"], alone["message"], alone["hint"])
    assert (details["call"], details["function"]) == (1, "create_job")
    assert [problem["argument"] for problem in details["problems"]] == [
        f"calls[1].arguments.{problem['argument']}" for problem in details_alone["problems"]
    ]
    assert [problem["problem"] for problem in details["problems"]] == [
        problem["problem"] for problem in details_alone["problems"]
    ]


def test_problem_inside_an_argument__keeps_its_path(database: Database) -> None:
    found = problems(
        database,
        call("create_video_job", **VIDEO, elements=[TEXT, {"type": "text"}, {**TEXT, "colour": 1}, 7]),
    )

    assert found["calls[0].arguments.elements[1].type"].startswith("needs text_content")
    assert found["calls[0].arguments.elements[2].colour"] == "is not known"
    assert found["calls[0].arguments.elements[3]"] == "must be a JSON object"


@pytest.mark.parametrize(
    ("body", "sqlstate", "message", "hint", "detail"),
    [
        ("perform 1 / 0", "22012", "division by zero", None, {}),
        (
            "insert into private.batch_functions values ('create_job')",
            "23505",
            'duplicate key value violates unique constraint "batch_functions_pkey"',
            None,
            {"detail": "Key (function)=(create_job) already exists.", "constraint": "batch_functions_pkey"},
        ),
        ("perform no_such", "42703", 'column "no_such" does not exist', None, {}),
        (
            "raise sqlstate 'PT418' using message = 'no', detail = 'plain words', hint = 'tea'",
            "PT418",
            "no",
            "tea",
            {"detail": "plain words"},
        ),
        (
            "raise sqlstate 'PT418' using message = 'no', detail = '[1]'",
            "PT418",
            "no",
            None,
            {"detail": "[1]"},
        ),
        (
            "raise sqlstate 'PT418' using message = 'no', detail = '{\"problems\": 1, \"call\": 9}'",
            "PT418",
            "no",
            None,
            {"problems": 1},
        ),
        ("raise sqlstate '40001' using message = 'again'", "40001", "again", None, {}),
    ],
)
def test_error_of_any_kind__keeps_what_it_says_and_names_the_call(
    database: Database, body: str, sqlstate: str, message: str, hint: str | None, detail: dict[str, Json]
) -> None:
    with database.transaction(force_rollback=True):
        make(database, "probe", "() returns void language plpgsql", f"begin {body}; end")
        error, found = refusal(database, call("list_jobs"), call("probe"))

    assert (error.sqlstate, error.diag.message_primary, error.diag.message_hint) == (sqlstate, message, hint)
    assert found == {**detail, "call": 1, "function": "probe"}


def test_unknown_job__is_not_found_in_the_call(api: Api) -> None:
    response = api.batch(call("list_jobs"), call("get_job", job_id=NOBODY_S))

    assert response.status_code == httpx.codes.NOT_FOUND
    assert json.loads(response.json()["details"]) == {
        "error": "not_found",
        "job_id": NOBODY_S,
        "call": 1,
        "function": "get_job",
    }


# References replaced --------------------------------------------------------------------------

NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["$ref", "$$ref", "$$$ref", "ref", "$", 'a$ref":']),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**15), 10**15), st.floats(-1e15, 1e15), NAMES, st.just("0.id")
)


def values(leaves: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=20,
    )


def is_special(value: Json) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in {"$ref", "$$ref", "$$$ref"}


def everywhere(change: Callable[[dict[str, Json]], dict[str, Json]], value: Json) -> Json:
    """The value with every object that has nothing but a key such as $ref changed."""
    match value:
        case list():
            return [everywhere(change, item) for item in value]
        case dict():
            inner = {key: everywhere(change, item) for key, item in value.items()}
            return change(inner) if is_special(value) else inner
    return value


def escaped(value: Json) -> Json:
    return everywhere(lambda special: {f"${key}": item for key, item in special.items()}, value)


def without_special(value: Json) -> Json:
    return everywhere(lambda special: {**special, "more": 1}, value)


def metadata_of(session: Database, metadata: Json) -> Json:
    source = call("create_job", **VIDEO, metadata={"list": [1, {"deep": "0.id"}], "null": None})
    return run(session, source, call("create_job", **VIDEO, metadata=metadata))[1]["metadata"]


@with_fixtures
@given(value=values(LEAVES).map(without_special))
def test_arguments_without_references__arrive_unchanged(database: Database, value: Json) -> None:
    assert metadata_of(database, {"value": value}) == {"value": value}


@with_fixtures
@given(value=values(LEAVES))
def test_escaped_arguments__arrive_as_they_were(database: Database, value: Json) -> None:
    assert metadata_of(database, {"value": escaped(value)}) == {"value": value}


PLACES = {
    "0.metadata": {"list": [1, {"deep": "0.id"}], "null": None},
    "0.metadata.list": [1, {"deep": "0.id"}],
    "0.metadata.list.1": {"deep": "0.id"},
    "0.metadata.list.-2": 1,
    "0.metadata.list.1.deep": "0.id",
    "0.metadata.null": None,
    "0.width": 64,
}


class Mark(str):
    """A place that a value refers to."""

    __slots__ = ()


def filled(value: Json, leaf: Callable[[Mark], Json]) -> Json:
    match value:
        case Mark():
            return leaf(value)
        case list():
            return [filled(item, leaf) for item in value]
        case dict():
            return {key: filled(item, leaf) for key, item in value.items()}
    return value


@with_fixtures
@given(
    value=values(st.one_of(LEAVES, st.sampled_from([Mark(place) for place in PLACES]))).map(without_special)
)
def test_references__are_replaced_wherever_they_are(database: Database, value: Json) -> None:
    expected = {"value": filled(value, PLACES.__getitem__)}
    assert metadata_of(database, {"value": filled(value, ref)}) == expected


# Actors ---------------------------------------------------------------------------------------


@pytest.mark.local_stack
def test_anonymous__runs_what_it_may_call(target: Target) -> None:
    response = Api(target).batch(
        call("create_job", **VIDEO, client_ip="203.0.113.1", user_id=NOBODY_S),
        call("add_job_element", job_id=ref("0.id"), **TEXT),
        call("get_job", job_id=ref("0.id")),
    )

    made, element, seen = response.json()
    assert (made["client_ip"], made["user_id"]) == ("127.0.0.1", None)
    assert (element["job_id"], seen["id"]) == (made["id"], made["id"])


@pytest.mark.local_stack
def test_anonymous__makes_nothing_when_a_later_call_is_not_for_it(target: Target, database: Database) -> None:
    marker = str(uuid4())
    response = Api(target).batch(
        call("create_job", **VIDEO, metadata={"marker": marker}),
        call("update_job_status", job_id=ref("0.id"), status="failed"),
    )

    assert response.status_code == httpx.codes.UNAUTHORIZED
    body = response.json()
    assert (body["code"], body["message"]) == ("42501", "permission denied for function update_job_status")
    assert json.loads(body["details"]) == {"call": 1, "function": "update_job_status"}
    rows = database.execute("select id from jobs where metadata ->> 'marker' = %s", (marker,)).fetchall()
    assert rows == []


def test_user__has_a_user_s_rights_in_every_call(target: Target, job: str) -> None:
    user_id = str(uuid4())
    user = Api(target, target.token(sub=user_id))
    made = user.batch(call("create_job", **VIDEO), call("list_jobs")).json()
    progress = user.batch(call("update_job_progress", job_id=made[0]["id"], progress_percentage=5))
    hidden = user.batch(call("get_job", job_id=made[0]["id"]), call("get_job", job_id=job))

    assert made[0]["user_id"] == user_id
    assert [item["id"] for item in made[1]["items"]] == [made[0]["id"]]
    assert progress.status_code == httpx.codes.FORBIDDEN
    details = json.loads(progress.json()["details"])
    assert (details["error"], details["role"], details["call"]) == ("permission_denied", "authenticated", 0)
    assert hidden.status_code == httpx.codes.NOT_FOUND
    assert json.loads(hidden.json()["details"])["call"] == 1


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_watch_token__reads_its_job_only(target: Target, job: str, role: str) -> None:
    watcher = Api(target, target.token(role=role, watch_job_id=job))
    seen = watcher.batch(call("get_job", job_id=job), call("read_job_events", job_id=ref("0.id")))
    refused = watcher.batch(call("get_job", job_id=job), call("add_job_element", job_id=ref("0.id"), **TEXT))

    assert [event["job_id"] for event in seen.json()[1]] == [job]
    details = json.loads(refused.json()["details"])
    assert (details["error"], details["call"]) == ("permission_denied", 1)


@pytest.mark.parametrize("role", ["service_account", "admin"])
def test_backend_s_account__does_what_backends_do(target: Target, job: str, role: str) -> None:
    backend = Api(target, target.token(sub=str(uuid4()), app_metadata={"role": role}))
    response = backend.batch(
        call("update_job_status", job_id=job, status="processing"),
        call("update_job_progress", job_id=ref("0.id"), progress_percentage=40),
    )
    assert [state["progress_percentage"] for state in response.json()] == [0, 40]


def test_role_in_user_metadata__gives_nothing(target: Target, job: str) -> None:
    forger = Api(target, target.token(sub=str(uuid4()), user_metadata={"role": "admin"}))
    response = forger.batch(call("update_job_status", job_id=job, status="processing"))
    assert response.status_code == httpx.codes.FORBIDDEN


def test_no_actor_at_all__runs_nothing(target: Target) -> None:
    response = httpx.post(f"{target.url}/rest/v1/rpc/run_batch", json={"calls": [call("list_jobs")]})
    assert response.status_code == httpx.codes.UNAUTHORIZED


def test_batch_functions__cannot_be_changed_by_a_caller(target: Target) -> None:
    for role in ("anon", "authenticated", "service_role"):
        with target.connect() as session, session.transaction(force_rollback=True):
            session.execute(f"set local role {role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("insert into private.batch_functions (function) values ('pg_sleep')")


# Together with others -------------------------------------------------------------------------


async def waiting(database: Database, *sessions: Database) -> None:
    """Until all of the sessions wait for a lock."""
    pids = [session.info.backend_pid for session in sessions]

    def check() -> None:
        rows = database.execute(
            "select pid from pg_stat_activity where pid = any (%s) and wait_event_type = 'Lock'", (pids,)
        ).fetchall()
        assert len(rows) == len(pids)

    await eventually(check)


def in_background(session: Database, calls: list[Json]) -> tuple[threading.Thread, list[Any]]:
    """A batch that runs while the test goes on; the list gets its results or its error."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(run(session, *calls))
        except psycopg.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, outcome


async def test_two_batches_in_opposite_order__leave_nothing_half_done(
    target: Target, database: Database
) -> None:
    """A third session holds each back after its first job, so that both hold what the other wants."""
    made = run(database, *[call("create_job", **VIDEO) for _ in range(4)])
    one, two, *gates = (job["id"] for job in made)
    for job_id in (one, two, *gates):
        run(database, call("update_job_status", job_id=job_id, status="processing"))

    def batch(order: list[str], progress: int) -> list[Json]:
        return [call("update_job_progress", job_id=job_id, progress_percentage=progress) for job_id in order]

    batches = {10: batch([one, gates[0], two], 10), 20: batch([two, gates[1], one], 20)}
    with target.connect() as gatekeeper, target.connect() as left, target.connect() as right:
        with gatekeeper.transaction():
            for gate in gates:
                gatekeeper.execute("select private.lock_job(%s)", (gate,))
            running = {
                10: in_background(left, batches[10]),
                20: in_background(right, batches[20]),
            }
            await waiting(database, left, right)
        for thread, _ in running.values():
            thread.join(30)

    outcomes = {progress: outcome[0] for progress, (_, outcome) in running.items()}
    (loser,) = [progress for progress, outcome in outcomes.items() if isinstance(outcome, psycopg.Error)]
    error = outcomes[loser]
    assert isinstance(error, psycopg.errors.DeadlockDetected)
    detail = json.loads(error.diag.message_detail or "")
    assert (detail["call"], detail["function"]) == (2, "update_job_progress")
    assert "waits for" in detail["detail"]
    reached = {
        job_id: run(database, call("get_job", job_id=job_id))[0]["progress_percentage"]
        for job_id in (one, two, *gates)
    }
    winner = 30 - loser
    assert reached == {one: winner, two: winner, gates[0]: winner % 20, gates[1]: 20 * (winner == 20)}
    assert len(run(database, *batches[loser])) == 3


def test_serialization_failure__stays_one(target: Target, database: Database, job: str) -> None:
    with target.connect() as late, late.transaction(force_rollback=True):
        late.execute("set transaction isolation level repeatable read")
        late.execute("select from jobs")
        run(database, call("update_job_status", job_id=job, status="processing"))
        error, detail = refusal(
            late, call("get_job", job_id=job), call("update_job_status", job_id=job, status="failed")
        )

    assert isinstance(error, psycopg.errors.SerializationFailure)
    assert (detail["call"], detail["function"]) == (1, "update_job_status")


def test_timeout__names_the_call_that_took_too_long(target: Target, database: Database, job: str) -> None:
    calls = [call("get_job", job_id=job), call("update_job_status", job_id=job, status="failed")]
    with target.connect() as holder, holder.transaction():
        holder.execute("select private.lock_job(%s)", (job,))
        database.execute("set statement_timeout = '200ms'")
        timeout = refusal(database, *calls)
        database.execute("set statement_timeout = 0")
        database.execute("set lock_timeout = '200ms'")
        no_lock = refusal(database, *calls)

    for (error, detail), sqlstate in ((timeout, "57014"), (no_lock, "55P03")):
        assert (error.sqlstate, detail) == (sqlstate, {"call": 1, "function": "update_job_status"})


def test_time_limit__is_set_where_the_data_api_takes_it_from(database: Database) -> None:
    row = database.execute("select proconfig from pg_proc where proname = 'run_batch'").fetchone()
    assert row is not None
    assert "statement_timeout=15s" in row[0]


# The list of functions ------------------------------------------------------------------------

DOMAINS = {f"20261120{number:06d}" for number in range(100, 1500, 100)}
NOT_IN_BATCHES = {
    "run_batch",
    "check_rate_limit",
    *("acquire_event_consumer", "commit_event_consumer", "release_event_consumer"),
    *("seek_event_consumer", "delete_event_consumer", "dead_letter_event"),
    *("rescue_stalled_jobs", "cleanup_old_jobs", "cleanup_old_metrics", "enforce_data_retention"),
    *("verify_database_schema", "database_health", "refresh_job_statistics"),
}


def public_functions(database: Database) -> set[str]:
    rows = database.execute(
        """
        select proname from pg_proc p
        where pronamespace = 'public'::regnamespace and prokind = 'f' and prorettype <> 'trigger'::regtype
        and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        """
    ).fetchall()
    return {row[0] for row in rows}


def listed_functions(database: Database) -> set[str]:
    return {row[0] for row in database.execute("select function from private.batch_functions").fetchall()}


def test_listed_functions__exist(database: Database) -> None:
    """A domain whose migration is still to come may be listed already."""
    to_come = DOMAINS - {path.name[:14] for path in MIGRATIONS.glob("*.sql")}
    unknown = listed_functions(database) - public_functions(database)

    assert to_come or unknown == set()


def test_every_public_function__can_run_in_a_batch_or_is_named_as_one_that_cannot(database: Database) -> None:
    listed = listed_functions(database)

    assert public_functions(database) - listed - NOT_IN_BATCHES == set()
    assert listed & NOT_IN_BATCHES == set()
