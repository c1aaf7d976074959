"""Models tolerate a database that is newer than they are."""

import pytest
from pydantic import ValidationError

from reelbase import ElementSpec, ElementType, JobStatus


def test_enum__takes_values_it_does_not_know() -> None:
    status = JobStatus("paused")

    assert (status.value, status.name, status == "paused") == ("paused", "UNKNOWN", True)
    assert JobStatus("failed") is JobStatus.FAILED


def test_enum__does_not_take_other_types() -> None:
    with pytest.raises(ValueError, match="17 is not a valid JobStatus"):
        JobStatus(17)


def test_models__are_frozen() -> None:
    element = ElementSpec(type=ElementType.TEXT, text_content="x")

    with pytest.raises(ValidationError, match="frozen"):
        element.track = 3
