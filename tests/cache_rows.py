"""Jobs as the database might return them, for tests of the cache that need no database."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from reelbase import Job
from reelbase.execution.call import Call

NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()


def job_row(**values: Any) -> dict[str, Any]:
    """A row of `jobs` as JSON."""
    row: dict[str, Any] = dict.fromkeys(Job.model_fields)
    row |= {
        "id": str(uuid4()),
        "status": "pending",
        "is_terminal": False,
        "output_format": "mp4",
        "width": 640,
        "height": 360,
        "fps": "30",
        "response_type": "async",
        "progress_percentage": "1.50",
        "request_body": {},
        "metadata": {"campaign": ["spring"]},
        "error_details": {},
        "client_ip": "::1",
        "priority": 0,
        "retry_count": 0,
        "max_retries": 3,
        "rescue_count": 0,
        "replays": 0,
        "event_seq": 1,
        "available_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return row | values


def a_job(**values: Any) -> Job:
    return Job.model_validate(job_row(**values))


def get_job(job_id: UUID) -> Call[Job]:
    return Call("get_job", {"job_id": job_id}, Job, reads=("job", job_id))
