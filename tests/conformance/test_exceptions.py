"""The list of exceptions itself."""

from conformance.exceptions import REASONS
from conformance.realtime.session import SESSIONS
from conformance.rest.case import CASES


def test_each_exception_names_a_recording() -> None:
    recorded = {recording.id for recording in (*CASES, *SESSIONS)}

    assert set(REASONS) - recorded == set()
