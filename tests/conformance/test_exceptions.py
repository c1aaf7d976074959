"""The list of exceptions itself."""

from conformance.exceptions import REASONS
from conformance.realtime.session import SESSIONS
from conformance.rest.case import CASES


def test_each_exception_names_a_recording() -> None:
    recorded = {case.id for case in CASES} | {session.id for session in SESSIONS}

    assert set(REASONS) - recorded == set()
