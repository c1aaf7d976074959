"""Composing a job: many elements at once, their order, removal, state, and lists of them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from sql import Session, acting, new_job, refused, row, rows
from support import Target, eventually

TEXT = {"type": "text", "text_content": "Hello"}
VIDEO = {"type": "video", "source_url": "https://example.com/a.mp4"}


def composed(session: Session, count: int = 3, **arguments: Any) -> tuple[str, list[str]]:
    """A new job and the ids of its elements."""
    job_id = new_job(session, **arguments)["id"]
    added = rows(session, "bulk_add_elements", job_id=job_id, elements=[TEXT] * count)
    return job_id, [element["id"] for element in added]


def order(session: Session, job_id: str) -> list[str]:
    return [element["id"] for element in rows(session, "get_job_elements", job_id=job_id)]


# Adding


def test_bulk_add__adds_all_in_order_with_one_event_each(database: Session) -> None:
    job_id, ids = composed(database, 100)

    more = rows(database, "bulk_add_elements", job_id=job_id, elements=[{**TEXT, "element_order": 500}, TEXT])

    assert order(database, job_id)[:100] == ids
    assert [element["element_order"] for element in more] == [101, 500]
    events = rows(database, "read_job_events", job_id=job_id)
    assert [event["seq"] for event in events] == list(range(1, 104))
    assert [event["data"]["element_id"] for event in events[1:101]] == ids


def test_bulk_add__names_every_problem_and_adds_nothing(database: Session) -> None:
    job_id = new_job(database)["id"]
    elements = [
        TEXT,
        {"type": "film", "width": 5, "track": "top", "metadata": "x", "z_index": 5000},
        {**VIDEO, "start_time": -1, "duration": 0, "x_position": "left", "fit_mode": "best", "sound": True},
        [],
    ]

    with refused("invalid_argument") as refusal:
        rows(database, "bulk_add_elements", job_id=job_id, elements=elements)

    assert refusal.problems == {
        "elements[1].type": "must be one of video, image, audio, text, overlay",
        "elements[1].track": "must be a whole number that fits integer",
        "elements[1].metadata": "must be a plain JSON object of at most 64 KiB",
        "elements[1].z_index": "must be -1000 to 1000",
        "elements[2].start_time": "must be 0 to 86400 seconds",
        "elements[2].duration": "must be more than 0 and at most 86400 seconds",
        "elements[2].x_position": "must be pixels (640, 640px) or percent (50%)",
        "elements[2].fit_mode": "must be one of auto, contain, cover, fill, stretch",
        "elements[2].sound": "is not known",
        "elements[3]": "must be a JSON object",
    }
    assert order(database, job_id) == []


@pytest.mark.parametrize("elements", [None, "{}", "[]"])
def test_bulk_add__takes_a_list(database: Session, elements: str | None) -> None:
    with refused("invalid_argument") as refusal:
        rows(database, "bulk_add_elements", job_id=new_job(database)["id"], elements=elements)
    assert list(refusal.problems) == ["elements"]


def test_bulk_adds_at_once__take_their_turns(target: Target, database: Session) -> None:
    job_id = new_job(database)["id"]

    def add(number: int) -> None:
        with target.connect() as session:
            rows(session, "bulk_add_elements", job_id=job_id, elements=[{**TEXT, "track": number}] * 10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))

    elements = rows(database, "get_job_elements", job_id=job_id)
    assert [element["element_order"] for element in elements] == list(range(80))
    events = rows(database, "read_job_events", job_id=job_id)
    assert [event["seq"] for event in events] == list(range(1, 82))


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("https://example.com/a.mp4", "web"),
        ("s3://bucket/key", "s3"),
        ("data:image/png;base64,AA==", "inline"),
        ("file:///a.mp4", "file"),
        ("a.mp4", "file"),
        ("gs://bucket/key", "other"),
    ],
)
def test_source__has_a_kind(database: Session, source: str, kind: str) -> None:
    job_id = new_job(database)["id"]

    element = row(database, "add_job_element", job_id=job_id, type="image", source_url=source)

    assert element["source_kind"] == kind
    assert row(database, "add_job_element", job_id=job_id, **TEXT)["source_kind"] == "none"


# Ordering and removing


def test_reorder__puts_all_in_the_order_given(database: Session) -> None:
    job_id, ids = composed(database, 5)

    reordered = rows(database, "reorder_elements", job_id=job_id, element_ids=ids[::-1])

    assert [element["id"] for element in reordered] == ids[::-1]
    assert [element["element_order"] for element in reordered] == list(range(5))


def test_reorder__names_what_is_missing_strange_or_twice(database: Session) -> None:
    job_id, ids = composed(database, 3)
    _, (foreign, *_) = composed(database, 1)

    with refused("invalid_argument") as refusal:
        rows(database, "reorder_elements", job_id=job_id, element_ids=[ids[0], foreign, ids[0], ids[1]])

    assert refusal.problems == {
        "element_ids[1]": "is no element of the job",
        "element_ids[2]": "stands there twice",
        "element_ids": f"lacks the element {ids[2]}",
    }
    assert order(database, job_id) == ids


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (10_001, {"element_ids": "must have at most 10000 elements"}),
        (10_000, {f"element_ids[{place}]": "stands there twice" for place in range(1, 101)}),
    ],
)
def test_reorder__of_far_too_many_is_refused_in_short(
    database: Session, count: int, found: dict[str, str]
) -> None:
    job_id, (element_id,) = composed(database, 1)
    database.execute("set statement_timeout = '3s'")

    with refused("invalid_argument") as refusal:
        rows(database, "reorder_elements", job_id=job_id, element_ids=[element_id] * count)

    assert refusal.problems == found


def test_reorder__names_a_hundred_that_are_missing(database: Session) -> None:
    job_id, _ = composed(database, 120)

    with refused("invalid_argument") as refusal:
        rows(database, "reorder_elements", job_id=job_id, element_ids=[])

    assert len(refusal.details["problems"]) == 100


def test_delete__removes_one_and_tells(database: Session) -> None:
    job_id, ids = composed(database, 3)

    assert row(database, "delete_element", element_id=ids[1])["id"] == ids[1]

    assert order(database, job_id) == [ids[0], ids[2]]
    assert rows(database, "read_job_events", job_id=job_id)[-1]["type"] == "element.removed"
    with refused("not_found"):
        row(database, "delete_element", element_id=ids[1])


def test_job_that_has_begun__keeps_its_composition(database: Session) -> None:
    job_id, ids = composed(database, 2)
    row(database, "update_job_status", job_id=job_id, status="processing")

    with refused("job_not_pending"):
        rows(database, "bulk_add_elements", job_id=job_id, elements=[TEXT])
    with refused("job_not_pending"):
        rows(database, "reorder_elements", job_id=job_id, element_ids=ids[::-1])
    with refused("job_not_pending"):
        row(database, "delete_element", element_id=ids[0])
    with refused("job_not_pending"):
        database.execute("update elements set element_order = 7 where id = %s", (ids[0],))
    assert order(database, job_id) == ids


def test_owner__composes_and_watcher_and_stranger_do_not(database: Session) -> None:
    user_id = str(uuid4())
    job_id, ids = composed(database, 3, user_id=user_id)

    with acting(database, "authenticated", {"sub": user_id}):
        rows(database, "reorder_elements", job_id=job_id, element_ids=ids[::-1])
        row(database, "delete_element", element_id=ids[0])
        rows(database, "bulk_add_elements", job_id=job_id, elements=[TEXT])
    for claims in ({"watch_job_id": job_id}, {"sub": user_id, "watch_job_id": job_id}):
        with refused("permission_denied"), acting(database, "authenticated", claims):
            rows(database, "reorder_elements", job_id=job_id, element_ids=order(database, job_id))
        with refused("permission_denied"), acting(database, "authenticated", claims):
            row(database, "delete_element", element_id=ids[1])
        with refused("permission_denied"), acting(database, "authenticated", claims):
            rows(database, "bulk_add_elements", job_id=job_id, elements=[TEXT])
    for function in ("reorder_elements", "delete_element"):
        arguments: dict[str, Any] = {"element_id": ids[1]}
        if function == "reorder_elements":
            arguments = {"job_id": job_id, "element_ids": ids}
        with refused("not_found"), acting(database, "authenticated", {"sub": str(uuid4())}):
            rows(database, function, **arguments)


# State


def test_state__follows_what_the_worker_reports(database: Session) -> None:
    job_id = new_job(database)["id"]
    element_id = row(database, "add_job_element", job_id=job_id, **VIDEO)["id"]

    def report(**state: Any) -> dict[str, Any]:
        return row(database, "update_element_status", element_id=element_id, **state)

    assert report(error_message="No answer.")["processing_state"] == "failed"
    downloaded = report(downloaded=True, local_path="/tmp/a.mp4", source_size=10)  # noqa: S108
    assert (downloaded["processing_state"], downloaded["error_message"], downloaded["source_size"]) == (
        "downloaded",
        None,
        10,
    )
    assert report(processed=True)["processing_state"] == "processed"
    kinds = [event["type"] for event in rows(database, "read_job_events", job_id=job_id)]
    assert kinds == ["job.created", "element.added"] + ["element.updated"] * 3


@pytest.mark.parametrize(
    ("state", "argument"),
    [
        ({"processed": True}, "downloaded"),
        ({"source_size": -1}, "source_size"),
        ({"local_path": ""}, "local_path"),
        ({"error_message": "x" * 10_001}, "error_message"),
    ],
)
def test_state__names_a_bad_argument(database: Session, state: dict[str, Any], argument: str) -> None:
    element_id = row(database, "add_job_element", job_id=new_job(database)["id"], **VIDEO)["id"]

    with refused("invalid_argument") as refusal:
        row(database, "update_element_status", element_id=element_id, **state)
    assert list(refusal.problems) == [argument]


def test_state__is_for_backends_and_jobs_that_go_on(database: Session) -> None:
    user_id = str(uuid4())
    job_id, ids = composed(database, 1, user_id=user_id)

    with refused("permission_denied"), acting(database, "authenticated", {"sub": user_id}):
        row(database, "update_element_status", element_id=ids[0], processed=True)
    row(database, "cancel_job", job_id=job_id)
    with refused("job_finished"):
        row(database, "update_element_status", element_id=ids[0], processed=True)


# Lists


def test_list__goes_through_all_in_pages(database: Session) -> None:
    job_id, ids = composed(database, 7)
    found: list[str] = []
    cursor = None
    while True:
        page = row(database, "list_elements", job_id=job_id, page_size=3, cursor=cursor)
        found += [element["id"] for element in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert sorted(found) == sorted(ids)
    assert len(found) == 7


def test_list__can_be_narrowed_by_type_and_state(database: Session) -> None:
    job_id, ids = composed(database, 2)
    video = row(database, "add_job_element", job_id=job_id, **VIDEO)["id"]
    row(database, "update_element_status", element_id=ids[0], processed=True)

    def listed(**arguments: Any) -> set[str]:
        page = row(database, "list_elements", job_id=job_id, **arguments)
        return {element["id"] for element in page["items"]}

    assert listed(type="video") == {video}
    assert listed(processing_state="processed") == {ids[0]}
    assert listed(type="text", processing_state="pending") == {ids[1]}
    with refused("invalid_argument") as refusal:
        listed(processing_state="eaten")
    assert refusal.problems == {"processing_state": "must be pending, downloaded, processed or failed"}


@pytest.mark.parametrize("late", ["delete_element", "update_element_status"])
async def test_element_that_is_removed_meanwhile__is_not_found(
    target: Target, database: Session, late: str
) -> None:
    _, ids = composed(database, 1)

    with target.connect() as first, target.connect() as second:
        with first.transaction():
            row(first, "delete_element", element_id=ids[0])
            waiting = asyncio.create_task(asyncio.to_thread(rows, second, late, element_id=ids[0]))
            await eventually(lambda: is_blocked(database, second.info.backend_pid))
        with refused("not_found"):
            await waiting


def is_blocked(session: Session, pid: int) -> None:
    assert session.execute("select cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone() == (True,)


def test_element_after_the_last_place__is_refused_by_name(database: Session) -> None:
    job_id = new_job(database)["id"]
    row(database, "add_job_element", job_id=job_id, **TEXT, element_order=9999)

    with refused("invalid_argument") as refusal:
        row(database, "add_job_element", job_id=job_id, **TEXT)
    assert list(refusal.problems) == ["element_order"]


def test_no_role__writes_the_tables(database: Session) -> None:
    """A write goes through a function, which checks whose claim it is."""
    writable = database.execute(
        """
        select role, table_name, verb
        from unnest(array['anon', 'authenticated', 'service_role']) as role,
            unnest(array['insert', 'update']) as verb,
            information_schema.tables
        where table_schema = 'public'
            and has_any_column_privilege(role, 'public.' || quote_ident(table_name), verb)
        """
    ).fetchall()

    assert writable == []
