"""Each request that PostgREST answered, put to localbase."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conformance.exceptions import marks
from conformance.rest.case import CASES, Answer, Case
from conformance.rest.compare import differences, json_differences
from conformance.rest.service import Service
from localbase.testing import Cluster
from support import eventually

# The recorded HS512 token was signed with the secret that HS256 uses.
pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


@pytest.fixture(scope="session")
def shared_service(localbase_cluster: Cluster) -> Iterator[Service]:
    with _running(localbase_cluster) as service:
        yield service


@pytest.fixture
def service(case: Case, request: pytest.FixtureRequest) -> Iterator[Service]:
    """Where a case is played. One that changes the schema has a place of its own."""
    if case.setup_sql:
        with _running(request.getfixturevalue("localbase_cluster")) as own:
            yield own
    else:
        yield request.getfixturevalue("shared_service")


@contextmanager
def _running(cluster: Cluster) -> Iterator[Service]:
    with cluster.stack() as stack, Service.of(stack) as service:
        asyncio.run(eventually(service.check_ready))
        yield service


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id, marks=marks(case.id)) for case in CASES])
async def test_answers_as_recorded(case: Case, service: Service) -> None:
    for statement in case.setup_sql:
        service.database.execute(statement)
    try:
        await eventually(lambda: _play(case, service), seconds=case.retry_s)
    finally:
        if case.reset:
            service.reset()


def _play(case: Case, service: Service) -> None:
    if case.reset:
        service.reset()
    answer = service.answer(case)
    found = differences(case, answer)
    if case.check_sql is not None:
        found += json_differences(case.check, service.look(case.check_sql), "database")
    assert not found, _report(case, answer, found)


def _report(case: Case, answer: Answer, found: list[str]) -> str:
    lines = [
        *("", f"{case.method} {case.path}", f"as {case.role}", *map(_header, case.header_items())),
        *([case.body] if case.body is not None else []),
        *("", "Expected:", *_lines(case.response)),
        *("", "Received:", *_lines(answer)),
        *("", "Different:", *found),
    ]
    return "\n".join(lines)


def _lines(answer: Answer) -> list[str]:
    return [f"{answer.status}", *map(_header, answer.headers.items()), answer.body]


def _header(item: tuple[str, str]) -> str:
    return f"{item[0]}: {item[1]}"
