"""The HTTP side: broadcasts from whoever holds a key, without a socket."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from localbase.realtime.announcements import (
    Announcement,
    InvalidAnnouncementsError,
    parse_announcements,
    single,
)
from localbase.realtime.channel import Permissions
from localbase.realtime.identity import Identity
from localbase.realtime.protocol import loads

Permit = Callable[[str, Identity], Awaitable[Permissions]]
Publish = Callable[[Announcement], None]

_TYPES = {"application/json": True, "application/octet-stream": False}


def token_of(request: web.Request) -> str | None:
    """The token of the user if there is one, else the key of the project."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else request.headers.get("apikey")


def unauthorized(status: int = 401) -> web.Response:
    return web.json_response({"message": "Unauthorized"}, status=status)


async def broadcast(
    request: web.Request, identity: Identity, permit: Permit, publish: Publish
) -> web.Response:
    """POST …/api/broadcast: a batch. What the sender may not write to private topics is passed over."""
    try:
        announcements = parse_announcements(loads(await request.read()))
    except InvalidAnnouncementsError as error:
        return web.json_response({"errors": error.errors}, status=422)
    except ValueError:
        return web.Response(status=400, text="Bad Request")
    allowed: dict[str, bool] = {}
    for announcement in announcements:
        name = announcement.name
        if announcement.private and name not in allowed:
            allowed[name] = (await permit(name, identity)).write
        if not announcement.private or allowed[name]:
            publish(announcement)
    return web.Response(status=202)


async def broadcast_single(
    request: web.Request, identity: Identity, permit: Permit, publish: Publish
) -> web.Response:
    """POST …/api/broadcast/{topic}/events/{event}: one event, its payload being the body."""
    body = await request.read()
    is_json = _TYPES.get(request.content_type) if body else True
    if is_json is None:
        supported = " or ".join(_TYPES)
        return web.json_response({"error": f"Unsupported Media Type. Use {supported}"}, status=415)
    name, event = (request.match_info[part] for part in ("topic", "event"))
    private = request.query.get("private") == "true"
    if private and not (await permit(name, identity)).write:
        return unauthorized(403)
    try:
        publish(single(name, event, body, is_json=is_json, private=private))
    except ValueError:
        return web.Response(status=400, text="Bad Request")
    return web.Response(status=202)
