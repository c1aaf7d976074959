"""The Data API as tests speak it: one call of a function as an actor, and what a refusal says."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx

from support import Target

Row = dict[str, Any]

OWNER = uuid4()
"""The user whose jobs the actor `owner` sees."""


def headers(target: Target, actor: str, watched: UUID | None = None) -> dict[str, str]:
    """What a request of an actor carries; the owner is OWNER, and a watch token is for the watched job."""
    if actor == "service_key":
        return {"apikey": target.service_role_key, "Authorization": f"Bearer {target.service_role_key}"}
    claims: dict[str, dict[str, Any]] = {
        "anonymous": {"role": "anon"},
        "watcher": {"role": "anon", "watch_job_id": str(watched)},
        "watching_user": {"watch_job_id": str(watched)},
        "owner": {"sub": str(OWNER)},
        "stranger": {"sub": str(uuid4())},
        "pretender": {"sub": str(uuid4()), "user_metadata": {"role": "admin"}},
        "service_account": {"sub": str(uuid4()), "app_metadata": {"role": "service_account"}},
        "admin": {"sub": str(uuid4()), "app_metadata": {"role": "admin"}},
    }
    return {"apikey": target.anon_key, "Authorization": f"Bearer {target.token(**claims[actor])}"}


def answer(
    target: Target,
    function: str,
    actor: str = "service_key",
    watched: UUID | None = None,
    **arguments: Any,
) -> httpx.Response:
    """The answer of the API to an actor's call."""
    return httpx.post(
        f"{target.url}/rest/v1/rpc/{function}",
        content=json.dumps(arguments, default=str),
        headers={**headers(target, actor, watched), "Content-Type": "application/json"},
        timeout=30,
    )


def call(target: Target, function: str, actor: str = "service_key", **arguments: Any) -> Any:
    """What a function returns to an actor."""
    response = answer(target, function, actor, **arguments)
    assert response.is_success, response.text
    return response.json()


def refusal(target: Target, function: str, actor: str = "service_key", **arguments: Any) -> Any:
    """The details of a refusal."""
    response = answer(target, function, actor, **arguments)
    assert response.is_client_error, response.text
    return json.loads(response.json()["details"])


def problems(target: Target, function: str, **arguments: Any) -> dict[str, str]:
    """Argument to problem, of a call with wrong arguments."""
    details = refusal(target, function, **arguments)
    assert details["error"] == "invalid_argument"
    return {problem["argument"]: problem["problem"] for problem in details["problems"]}


def all_pages(target: Target, function: str, **arguments: Any) -> list[Row]:
    """The items of all pages, in their order."""
    items: list[Row] = []
    cursor = None
    while True:
        page = call(target, function, cursor=cursor, **arguments)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
