"""What the actors ask for: arguments of every function, rows and changes for the tables that take some.

What begins with a dollar sign stands for what belongs to the job at hand, or for the caller's name.
"""

from collections.abc import Mapping
from typing import Any

from database import access_world as world

JOB, ELEMENT, OTHER_ELEMENT, STEP, CLAIM = "$job", "$element", "$other_element", "$step", "$claim"
CALLER = "$caller"
TEXT = {"type": "text", "text_content": "More"}
VIDEO = {
    "output_format": "mp4",
    "width": 64,
    "height": 64,
    "user_id": world.OTHER_USER,
    "client_ip": "203.0.113.9",
}
STORED = {"job_id": JOB, "operation": "upload", "bucket": "videos", "key": "a.mp4"}
ACCESSED = {"job_id": JOB, "url": "https://example.com/"}
MEASURED = {"metric": "load", "value": 1}

# The arguments of each function; of those on jobs, by the state that the job must have for them to succeed.
ON_JOBS: dict[str, dict[str, dict[str, Any]]] = {
    "waiting": {
        "get_job": {"job_id": JOB},
        "get_job_with_details": {"job_id": JOB},
        "get_job_elements": {"job_id": JOB},
        "get_processing_timeline": {"job_id": JOB},
        "get_storage_operations": {"job_id": JOB},
        "read_job_events": {"job_id": JOB},
        "calculate_job_progress": {"job_id": JOB},
        "can_subscribe_to_job": {"job_id": JOB},
        "add_job_element": {"job_id": JOB, **TEXT},
        "bulk_add_elements": {"job_id": JOB, "elements": [TEXT]},
        "reorder_elements": {"job_id": JOB, "element_ids": [OTHER_ELEMENT, ELEMENT]},
        "delete_element": {"element_id": ELEMENT},
        "cancel_job": {"job_id": JOB},
        "pause_job": {"job_id": JOB},
        "resume_job": {"job_id": JOB},
        "update_job_status": {"job_id": JOB, "status": "processing"},
        "update_element_status": {"element_id": ELEMENT, "local_path": "/tmp/a"},  # noqa: S108
        "start_processing_step": {"job_id": JOB, "step": "upload"},
        "update_step_progress": {"timeline_id": STEP, "progress_percentage": 50},
        "complete_processing_step": {"timeline_id": STEP},
        "log_storage_operation": STORED,
        "log_storage_operations": {"operations": [STORED]},
        "log_url_access": ACCESSED,
        "log_url_accesses": {"accesses": [ACCESSED]},
    },
    "claimed": {
        "update_job_progress": {"job_id": JOB, "progress_percentage": 50, "claim": CLAIM},
        "heartbeat_jobs": {"claims": [CLAIM]},
        "complete_job": {"job_id": JOB, "claim": CLAIM},
        "fail_job": {"job_id": JOB, "claim": CLAIM, "error_code": "broken", "error_message": "Broken."},
        "release_job": {"job_id": JOB, "claim": CLAIM},
    },
    "ended": {
        "retry_job": {"job_id": JOB},
        "delete_job": {"job_id": JOB},
    },
}
ON_NO_JOB: dict[str, dict[str, Any]] = {
    "user_role": {},
    "is_admin": {},
    "client_ip": {},
    "get_event_cursor": {},
    "run_batch": {"calls": [{"function": "user_role"}]},
    "list_jobs": {},
    "list_elements": {},
    "read_events": {},
    "create_job": VIDEO,
    "create_jobs": {"jobs": [VIDEO]},
    "create_video_job": {**VIDEO, "elements": [TEXT]},
    "claim_jobs": {"worker": "worker"},
    "rescue_stalled_jobs": {},
    "get_queue_state": {},
    "get_failed_storage_operations": {},
    "get_storage_statistics": {},
    "get_storage_usage_by_bucket": {},
    "get_storage_performance": {},
    "get_url_accesses": {},
    "get_url_accesses_by": {"dimension": "day"},
    "get_url_access_statistics": {},
    "record_metric": MEASURED,
    "record_metrics": {"metrics": [MEASURED]},
    "get_metric_series": {"metric": "load"},
    "get_latest_metrics": {},
    "get_metric_thresholds": {},
    "set_metric_threshold": {"metric": "load", "warning": 1},
    "delete_metric_threshold": {"metric": CALLER},
    "get_system_events": {},
    "read_system_events": {},
    "get_system_event_cursor": {},
    "acquire_event_consumer": {"name": "another", "holder": "instance"},
    "commit_event_consumer": {"name": CALLER, "lease": 1},
    "release_event_consumer": {"name": CALLER, "lease": 1},
    "seek_event_consumer": {"name": CALLER},
    "delete_event_consumer": {"name": CALLER},
    "list_event_consumers": {},
    "dead_letter_event": {
        "name": CALLER,
        "lease": 1,
        "event_id": world.EVENT,
        "attempts": 1,
        "error": "broken",
    },
    "list_event_dead_letters": {},
    "delete_event_dead_letter": {"consumer": CALLER, "event_id": world.EVENT},
    "get_job_statistics": {},
    "get_processing_metrics": {},
    "get_system_stats": {},
    "refresh_job_statistics": {},
    "database_health": {},
    "verify_database_schema": {},
    "check_rate_limit": {"key": "a", "max_calls": 100, "per": "1 hour"},
    "log_security_event": {"event_type": "unauthorized_access"},
    "pause_queue": {},
    "resume_queue": {},
    "cleanup_old_jobs": {},
    "cleanup_old_metrics": {},
    "enforce_data_retention": {},
    "get_security_events": {},
}
# Where the rows of a function that lists name their job.
LISTS = {"list_jobs": "id", "list_elements": "job_id", "read_events": "job_id"}


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """A value with what its placeholders stand for."""
    match value:
        case dict():
            return {key: filled(item, values) for key, item in value.items()}
        case list():
            return [filled(item, values) for item in value]
        case str():
            return values.get(value, value.replace(CALLER, values.get(CALLER, CALLER)))
    return value
