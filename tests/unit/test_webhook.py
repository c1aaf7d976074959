"""Webhooks as the specification of Standard Webhooks has them, and what an event looks like outside."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from reelbase import ConfigurationError, EventType, JobStatus, ProcessingStep, read_event
from reelbase.cli.delivery import as_json
from reelbase.cli.webhook import Webhook, signed, signing_secrets

# The vector that the specification's own libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signature__is_the_published_one() -> None:
    assert signed(*MESSAGE, signing_secrets(SECRET)) == {
        "content-type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_several_secrets__give_a_signature_each() -> None:
    other = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"

    first, second = signed(*MESSAGE, signing_secrets(f" {other}  {SECRET}"))["webhook-signature"].split(" ")

    assert second == SIGNATURE
    assert first == signed(*MESSAGE, signing_secrets(other))["webhook-signature"]
    assert signing_secrets(other.rstrip("=")) == signing_secrets(other)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must be whsec_ and 24 to 64 bytes in base64"),
        ("whsec_c2hvcnQ=", "must be whsec_"),
        (f"whsec_{base64.b64encode(bytes(65)).decode()}", "must be whsec_"),
        ("whsec_it is not base64!", "must be whsec_"),
        (f"{SECRET} other", "must be whsec_"),
    ],
)
def test_secret_that_is_none__is_refused_and_not_shown(setting: str | None, words: str) -> None:
    with pytest.raises(ConfigurationError, match="REELBASE_WEBHOOK_SECRET") as refused:
        signing_secrets(setting)

    assert words in str(refused.value)
    assert setting is None or setting == "" or setting not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("example.com/hook", "is no web address"),
        ("ftp://example.com", "is no web address"),
        ("https://", "is no web address"),
        ("https://[", "is no web address"),
        ("https://example.com:port", "is no web address"),
        ("https://billing..example.com/", "is no web address"),
        (f"https://{'a' * 64}.example.com/", "is no web address"),
        (f"https://{'ü' * 64}.example.com/", "is no web address"),
        ("https://\u2603..example.com/", "is no web address"),
        ("https://me:secret@example.com", "holds a password"),
        ("htps://me:secret@example.com/hook", "^htps://example.com/hook is no web address"),
        ("https://me:sec/ret:secret@example.com:99999", "^https://example.com:99999 is no web address"),
        ("me:secret@example.com", "^example.com is no web address"),
    ],
)
def test_address_that_is_none__is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refused:
        Webhook(url, (), timeout=1)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("host", ["straße.example", "a_b.example.", "127.0.0.1:8080", "[::1]", "☕.example"])
def test_address__of_every_kind_of_host_is_taken(host: str) -> None:
    Webhook(f"https://{host}/hook", (), timeout=1)


def test_event__is_json_with_the_spelling_of_the_table() -> None:
    event = read_event(
        {
            "id": 7,
            "xid": "700",
            "job_id": UUID(int=1),
            "user_id": None,
            "seq": 3,
            "type": "job.progress",
            "status": "processing",
            "is_terminal": False,
            "progress_percentage": Decimal("12.50"),
            "current_step": "encoding",
            "data": {},
            "created_at": "2026-11-20T12:00:00.5+01:00",
        }
    )
    assert (event.type, event.status) == (EventType.JOB_PROGRESS, JobStatus.PROCESSING)
    assert event.current_step is ProcessingStep.ENCODING

    shown = json.loads(as_json({"timestamp": datetime(2026, 1, 2, tzinfo=UTC), "data": event}))

    assert shown["timestamp"] == "2026-01-02T00:00:00Z"
    assert shown["data"]["job_id"] == "00000000-0000-0000-0000-000000000001"
    assert shown["data"]["progress_percentage"] == 12.5
    assert shown["data"]["created_at"] == "2026-11-20T11:00:00.500000Z"
    assert (shown["data"]["type"], shown["data"]["status"]) == ("job.progress", "processing")
    assert (shown["data"]["user_id"], shown["data"]["data"]) == (None, {})
