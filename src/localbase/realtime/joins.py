"""What a client asks for when it joins a topic."""

from dataclasses import dataclass
from typing import Any

from localbase.realtime.elixir import inspect

PREFIX = "realtime:"
MAX_REPLAYED = 25


class JoinError(Exception):
    """A refused join; the text is the reason given to the client."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


@dataclass(frozen=True, slots=True)
class Replay:
    """Which earlier broadcasts to send: the newest `limit` since a Unix time in milliseconds."""

    since_ms: int = 0
    limit: int = MAX_REPLAYED


@dataclass(frozen=True, slots=True)
class Join:
    """The settings of one channel. `legacy` ones subscribe through the topic's name alone."""

    bindings: tuple[dict[str, Any], ...] = ()
    legacy: bool = False
    ack: bool = False
    echo: bool = False
    private: bool = False
    presence: bool = False
    presence_key: str = ""
    replication_ready: bool = False
    replay: Replay | None = None


def parse_join(topic: str, payload: Any) -> Join:
    """The settings in a join's payload. Raises JoinError."""
    name = topic.removeprefix(PREFIX)
    if not name:
        raise JoinError("TopicNameRequired", "You must provide a topic name")
    match payload:
        case {"config": None}:
            return Join()
        case {"config": dict(config)}:
            return _from_config(config)
        case {"config": other}:
            raise _unreadable(other)
        case dict():
            return Join(bindings=(_from_topic(name),), legacy=True)
    raise _unreadable(payload)


def _from_config(config: dict[str, Any]) -> Join:
    broadcast, presence = _section(config, "broadcast"), _section(config, "presence")
    key = presence.get("key")
    private = _flag(config.get("private"))
    return Join(
        bindings=_bindings(config.get("postgres_changes")),
        ack=_flag(broadcast.get("ack")),
        echo=_flag(broadcast.get("self")),
        private=private,
        presence=_flag(presence.get("enabled")),
        presence_key=key if isinstance(key, str) else "",
        replication_ready=_flag(broadcast.get("replication_ready")),
        replay=_replay(broadcast.get("replay"), private=private),
    )


def _from_topic(name: str) -> dict[str, Any]:
    return dict(zip(("schema", "table", "filter"), name.split(":", 2), strict=False))


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _flag(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _bindings(value: Any) -> tuple[dict[str, Any], ...]:
    items = [item for item in value if item is not None] if isinstance(value, list) else []
    for item in items:
        if not isinstance(item, dict):
            raise _unreadable(item)
    return tuple(items)


def _replay(value: Any, *, private: bool) -> Replay | None:
    if value is None:
        return None
    if not private:
        raise JoinError("UnableToReplayMessages", "Replay is not allowed for public channels")
    match value:
        case {"since": int(since), "limit": int(limit)} if 0 < limit <= MAX_REPLAYED:
            return Replay(since, limit)
        case {"since": int(since)} if "limit" not in value:
            return Replay(since)
    raise JoinError("UnableToReplayMessages", "Replay params are not valid")


def _unreadable(value: Any) -> JoinError:
    return JoinError("UnknownErrorOnChannel", f"unexpected {inspect(value)}")
