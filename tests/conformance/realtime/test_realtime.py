"""Each conversation recorded with Supabase Realtime, had with localbase.

All that were selected begin with the first test; a test waits for the end of its own.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from conformance.exceptions import DELIBERATE, marks
from conformance.realtime.programme import BREAKABLE, Place, Programme, place
from conformance.realtime.report import Finding
from conformance.realtime.session import SESSIONS, Session
from conformance.realtime.stage import Stage, breakable_stage
from localbase.testing import Cluster

_WITH_SLOW = "CONFORMANCE_SLOW" in os.environ
_SLOW = pytest.mark.skipif(not _WITH_SLOW, reason="a minute of silence, with CONFORMANCE_SLOW=1 only")


def _parameter(session: Session) -> object:
    return pytest.param(
        session, id=session.id, marks=[*marks(session.id), *([_SLOW] if session.slow else [])]
    )


_AMENDED = [
    session.amended(entry.instead)
    for entry in DELIBERATE
    for session in SESSIONS
    if session.id in entry.ids and entry.instead
]


@pytest.fixture(scope="module")
def programme(
    request: pytest.FixtureRequest, localbase_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Programme]:
    sessions = _selected(request)
    workdir = tmp_path_factory.mktemp("breakable")
    with ExitStack() as resources:
        stages = {
            where: resources.enter_context(_stage(where, localbase_cluster, workdir))
            for where in dict.fromkeys(map(place, sessions))
        }
        programme = Programme(stages)
        resources.callback(lambda: localbase_cluster.loop.run(programme.stop()))
        localbase_cluster.loop.run(programme.start(sessions))
        yield programme


def _selected(request: pytest.FixtureRequest) -> list[Session]:
    """The sessions of this module's tests that this run has."""
    items = [item for item in request.session.items if item.path == request.path]
    played = [item.callspec.params["session"] for item in items if isinstance(item, pytest.Function)]
    return [
        session for session in played if isinstance(session, Session) and (_WITH_SLOW or not session.slow)
    ]


@contextmanager
def _stage(where: Place, cluster: Cluster, workdir: Path) -> Iterator[Stage]:
    if where == BREAKABLE:
        with breakable_stage(workdir, cluster.loop) as stage:
            yield stage
    else:
        with cluster.stack() as stack:
            yield Stage.of(stack)


@pytest.mark.parametrize("session", [_parameter(session) for session in (*SESSIONS, *_AMENDED)])
def test_answers_as_recorded(session: Session, programme: Programme, localbase_cluster: Cluster) -> None:
    findings = localbase_cluster.loop.run(programme.findings(session))

    assert not findings, _report(session, findings)


def _report(session: Session, findings: list[Finding]) -> str:
    return "\n".join([session.description, *map(str, findings)])
