from collections.abc import Callable
from typing import Any

import pytest

from localbase.realtime.channel import Permissions
from localbase.realtime.joins import Replay
from localbase.realtime.limits import MAX_CHANNELS, MAX_PAYLOAD, PRESENCE_CALLS, PRESENCE_WINDOW_S
from localbase.realtime.protocol import BinaryBroadcast, BinaryPush, Encoding, Message, Version
from localbase.realtime.session import Authorize, SendEarlier, Subscribe, Unsubscribe

TOPIC = "realtime:room"
CHANGES = {"postgres_changes": [{"event": "*", "schema": "public", "table": "t"}]}
OK = ("phx_reply", {"status": "ok", "response": {}})
JOINED = ("phx_reply", {"status": "ok", "response": {"postgres_changes": []}})
UNMATCHED = ("phx_reply", {"status": "error", "response": {"reason": "unmatched topic"}})
CLOSED = ("phx_close", {})
GARBAGE = "The token provided is not a valid JWT"


def refused(reason: str) -> tuple[str, Any]:
    return "phx_reply", {"status": "error", "response": {"reason": reason}}


def system(message: str, status: str = "error", extension: str = "system") -> tuple[str, Any]:
    payload = {"message": message, "status": status, "extension": extension, "channel": "room"}
    return "system", payload


def test_heartbeat(peer: Any) -> None:
    peer.push("phoenix", "heartbeat", join_ref=None)

    assert peer.take() == [OK]


@pytest.mark.parametrize("topic", ["phoenix", "other", "realtime"])
def test_join__of_a_topic_that_is_none_of_ours(peer: Any, topic: str) -> None:
    peer.join(topic)

    assert peer.take() == [UNMATCHED]


def test_join__answers_with_the_parameters_and_an_id_for_each(peer: Any) -> None:
    effects = peer.join(TOPIC, config=CHANGES | {"private": "no"})

    [(_, payload)] = peer.take()
    [binding] = payload["response"]["postgres_changes"]
    assert isinstance(binding.pop("id"), int)
    assert binding == {"event": "*", "schema": "public", "table": "t"}
    assert [type(effect) for effect in effects] == [Subscribe]


@pytest.mark.parametrize(
    "config", [{}, None, {"postgres_changes": {"table": "t"}}, {"postgres_changes": [None]}]
)
def test_join__without_bindings(peer: Any, config: Any) -> None:
    assert peer.join(TOPIC, config=config) == []
    assert peer.take() == [JOINED]


def test_join__without_config_subscribes_through_the_topic(peer: Any) -> None:
    peer.push("realtime:public:t:id=eq.1", "phx_join", {}, join_ref="1")

    [(_, payload)] = peer.take()
    [binding] = payload["response"]["postgres_changes"]
    assert binding | {"id": 0} == {"id": 0, "schema": "public", "table": "t", "filter": "id=eq.1"}


@pytest.mark.parametrize(
    "payload", [None, [], "x", {"config": "x"}, {"config": {"postgres_changes": ["INSERT"]}}]
)
def test_join__that_cannot_be_read_is_refused(peer: Any, payload: Any) -> None:
    peer.session.receive(Message(TOPIC, "phx_join", payload, "1", "1"), peer.now)

    [(_, answer)] = peer.take()
    assert answer["response"]["reason"].startswith("UnknownErrorOnChannel: ")


def test_join__bad_tokens_are_refused(peer: Any, token: Callable[..., str]) -> None:
    reasons = {
        "garbage": f"MalformedJWT: {GARBAGE}",
        "": f"MalformedJWT: {GARBAGE}",
        token(secret="x" * 40): "JwtSignatureError: Failed to validate JWT signature",
        token(role=None): "InvalidJWTToken: Fields `role` and `exp` are required in JWT",
        token(expires=-10): "InvalidJWTToken: Token has expired 10 seconds ago",
    }
    for access_token, reason in reasons.items():
        peer.join(TOPIC, access_token=access_token)

        assert peer.take() == [refused(reason)]


@pytest.mark.parametrize("unused", [5, None, "sb_publishable_x"])
def test_join__without_a_token_of_its_own_uses_the_key(peer: Any, unused: Any) -> None:
    [effect] = peer.join(TOPIC, config=CHANGES, access_token=unused)

    assert effect.channel.identity.role == "anon"


def test_join__again_closes_the_first(peer: Any) -> None:
    peer.join(TOPIC, join_ref="1")
    peer.join(TOPIC, join_ref="2")

    assert [(message.event, message.join_ref) for message in peer.received] == [
        ("phx_reply", "1"),
        ("phx_reply", "2"),
        ("phx_close", "1"),
    ]


def test_join__again_with_a_bad_token_closes_the_first_all_the_same(peer: Any) -> None:
    peer.join(TOPIC, config=CHANGES)
    peer.take()

    effects = peer.join(TOPIC, join_ref="2", access_token="garbage")

    assert peer.take() == [refused(f"MalformedJWT: {GARBAGE}"), CLOSED]
    assert [type(effect) for effect in effects] == [Unsubscribe]


def test_subscribed__tells_the_outcome(peer: Any) -> None:
    [subscribe] = peer.join(TOPIC, config=CHANGES)
    peer.take()

    peer.session.subscribed(subscribe.channel)
    peer.session.subscribed(subscribe.channel, "no such table")

    assert peer.take() == [
        system("Subscribed to PostgreSQL", "ok", "postgres_changes"),
        system("no such table", "error", "postgres_changes"),
    ]


def test_subscribed__too_late_says_nothing(peer: Any) -> None:
    [subscribe] = peer.join(TOPIC, config=CHANGES)
    peer.push(TOPIC, "phx_leave")
    peer.take()

    peer.session.subscribed(subscribe.channel)

    assert peer.take() == []


def test_leave(peer: Any) -> None:
    peer.join(TOPIC)
    peer.take()

    peer.push(TOPIC, "phx_leave")
    assert peer.take() == [OK, CLOSED]

    peer.push(TOPIC, "phx_leave")
    assert peer.take() == [OK]


def test_leave__with_a_stale_reference_is_passed_over(peer: Any) -> None:
    peer.join(TOPIC, join_ref="2")
    peer.take()

    peer.push(TOPIC, "phx_leave", join_ref="1")

    assert peer.take() == []


@pytest.mark.parametrize("event", ["nosuch", "phx_error", "system", "postgres_changes"])
def test_push__unknown_events_are_passed_over(peer: Any, event: str) -> None:
    peer.push(TOPIC, event)
    assert peer.take() == [UNMATCHED]

    peer.join(TOPIC)
    peer.take()
    peer.push(TOPIC, event)
    assert peer.take() == []


def test_expire__closes_the_channel_and_keeps_the_socket(peer: Any, token: Callable[..., str]) -> None:
    peer.join(TOPIC, config=CHANGES, access_token=token(expires=4))
    peer.join("realtime:other")
    peer.take()

    assert peer.session.next_expiry() == pytest.approx(peer.now + 4)
    assert peer.session.expire(peer.now + 3) == []
    effects = peer.session.expire(peer.now + 4)

    assert [type(effect) for effect in effects] == [Unsubscribe]
    assert peer.take() == [system("Token has expired 0 seconds ago"), CLOSED]
    peer.push("phoenix", "heartbeat")
    assert peer.take() == [OK]


def test_access_token__extends_and_subscribes_anew(peer: Any, token: Callable[..., str]) -> None:
    peer.join(TOPIC, config=CHANGES, access_token=token(expires=4))
    fresh = token(expires=100)
    peer.take()

    [effect] = peer.push(TOPIC, "access_token", {"access_token": fresh})
    assert isinstance(effect, Subscribe)
    assert peer.push(TOPIC, "access_token", {"access_token": fresh}) == []

    assert peer.session.next_expiry() == pytest.approx(peer.now + 100)
    assert peer.take() == []


@pytest.mark.parametrize("payload", [{}, {"access_token": None}, {"access_token": "sb_x"}, "x"])
def test_access_token__what_is_no_token_is_passed_over(peer: Any, payload: Any) -> None:
    peer.join(TOPIC)
    peer.take()

    assert peer.push(TOPIC, "access_token", payload) == []
    assert peer.take() == []


def test_access_token__a_bad_one_closes_the_channel(peer: Any, token: Callable[..., str]) -> None:
    for bad, reason in {"garbage": GARBAGE, token(secret="x" * 40): ":signature_error"}.items():
        peer.join(TOPIC)
        peer.take()

        peer.push(TOPIC, "access_token", {"access_token": bad})

        assert peer.take() == [system(reason), CLOSED]


def test_private__waits_for_permission(peer: Any) -> None:
    [effect] = peer.join(TOPIC, config={"private": True})
    assert isinstance(effect, Authorize)
    assert peer.take() == []

    peer.session.authorized(effect, Permissions())
    assert peer.take() == [JOINED]


def test_private__refused(peer: Any) -> None:
    [effect] = peer.join(TOPIC, config={"private": True})

    peer.session.authorized(effect, Permissions(read=False))

    reason = "You do not have permissions to read from this Channel topic: room"
    assert peer.take() == [refused(f"Unauthorized: {reason}")]


def test_private__permission_lost(peer: Any, token: Callable[..., str]) -> None:
    [effect] = peer.join(TOPIC, config={"private": True})
    peer.session.authorized(effect, Permissions())
    peer.take()

    [again] = peer.push(TOPIC, "access_token", {"access_token": token()})
    peer.session.authorized(again, Permissions(read=False))

    reason = "You do not have permissions to read from this Channel topic: room"
    assert peer.take() == [system(reason), CLOSED]


def test_private__who_may_not_write_is_not_heard(connect: Callable[..., Any]) -> None:
    reader, writer = connect(), connect()
    for peer, permissions in ((reader, Permissions(write=False)), (writer, Permissions())):
        [effect] = peer.join(TOPIC, config={"private": True, "broadcast": {"ack": True}})
        peer.session.authorized(effect, permissions)
        peer.take()

    reader.push(TOPIC, "broadcast", {"event": "x"})
    assert (reader.take(), writer.take()) == ([], [])

    writer.push(TOPIC, "broadcast", {"event": "x"})
    assert (reader.take(), writer.take()) == ([("broadcast", {"event": "x"})], [OK])


def test_replay__of_private_topics_only(peer: Any) -> None:
    wanted = {"broadcast": {"replay": {"since": 7, "limit": 2}}}
    peer.join(TOPIC, config=wanted)
    assert peer.take() == [refused("UnableToReplayMessages: Replay is not allowed for public channels")]

    [authorize] = peer.join(TOPIC, config=wanted | {"private": True})
    [effect] = peer.session.authorized(authorize, Permissions())
    assert isinstance(effect, SendEarlier)
    assert effect.wanted == Replay(since_ms=7, limit=2)


def test_broadcast__reaches_the_others_and_oneself_on_demand(connect: Callable[..., Any]) -> None:
    sender, other, elsewhere = connect(), connect(), connect()
    sender.join(TOPIC, config={"broadcast": {"self": "true", "ack": True}})
    other.join(TOPIC)
    elsewhere.join("realtime:elsewhere")
    for peer in (sender, other, elsewhere):
        peer.take()

    sender.push(TOPIC, "broadcast", {"event": "x", "payload": 1})
    assert sender.take() == [("broadcast", {"event": "x", "payload": 1}), OK]
    assert other.take() == [("broadcast", {"event": "x", "payload": 1})]
    assert elsewhere.take() == []

    other.push(TOPIC, "broadcast", {"event": "y"})
    assert other.take() == []


def test_broadcast__that_is_no_object_ends_the_channel_in_v2_only(connect: Callable[..., Any]) -> None:
    new, old = connect(version=Version.V2), connect(version=Version.V1)
    for peer in (new, old):
        peer.join(TOPIC, config={"broadcast": {"self": True}})
        peer.take()

    old.push(TOPIC, "broadcast", [1])
    assert old.take() == [("broadcast", [1])]
    new.take()
    new.push(TOPIC, "broadcast", [1])
    assert new.take() == [("phx_error", {"reason": "channel_crash"})]


def test_broadcast__binary(connect: Callable[..., Any]) -> None:
    sender, other = connect(), connect()
    sender.join(TOPIC, config={"broadcast": {"ack": True}})
    other.join(TOPIC)
    for peer in (sender, other):
        peer.take()

    push = BinaryPush(TOPIC, "ev", b'{"m":1}', Encoding.BYTES, b"\x00", ref="r", join_ref="1")
    sender.session.receive(push, sender.now)

    assert sender.take() == [OK]
    assert other.received == [BinaryBroadcast(TOPIC, "ev", b"", Encoding.BYTES, b"\x00")]


def test_presence__joins_and_leaves(connect: Callable[..., Any]) -> None:
    alice, bob = connect(), connect()
    alice.join(TOPIC, config={"presence": {"enabled": True, "key": "alice"}})
    assert alice.take() == [JOINED, ("presence_state", {})]
    bob.join(TOPIC)
    bob.take()

    alice.push(TOPIC, "presence", {"event": "track", "payload": {"n": 1}})
    (event, difference), reply = alice.take()
    assert (event, reply) == ("presence_diff", OK)
    [meta] = difference["joins"]["alice"]["metas"]
    assert meta == {"n": 1, "phx_ref": meta["phx_ref"]}
    assert bob.take() == [("presence_diff", difference)]

    alice.push(TOPIC, "presence", {"event": "track", "payload": {"n": 1}})
    assert (alice.take(), bob.take()) == ([OK], [])

    alice.push(TOPIC, "presence", {"event": "TRACK", "payload": {"n": 2}})
    [(_, moved)] = bob.take()
    assert moved["leaves"]["alice"]["metas"] == [meta]
    assert moved["joins"]["alice"]["metas"][0]["phx_ref_prev"] == meta["phx_ref"]

    alice.session.close()
    [(_, gone)] = bob.take()
    assert gone == {"joins": {}, "leaves": moved["joins"]}


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ({"event": "nosuch"}, ("phx_reply", {"status": "error", "response": {}})),
        ({"event": "track", "payload": "x"}, refused("Presence track payload must be a map")),
        ({"event": "untrack"}, OK),
        ({}, OK),
    ],
)
def test_presence__answers(peer: Any, payload: Any, answer: Any) -> None:
    peer.join(TOPIC)
    peer.take()

    peer.push(TOPIC, "presence", payload)

    assert peer.take() == [answer]


def test_close__leaves_everything(peer: Any) -> None:
    peer.join(TOPIC, config=CHANGES)
    peer.join("realtime:other")

    assert [type(effect) for effect in peer.session.close()] == [Unsubscribe]
    assert peer.session.next_expiry() is None


def test_limit__channels_of_a_socket(peer: Any) -> None:
    for number in range(MAX_CHANNELS):
        peer.join(f"realtime:{number}")
    peer.take()

    peer.join("realtime:0")
    assert peer.take() == [JOINED, CLOSED]
    peer.join(TOPIC)
    assert peer.take() == [refused("ChannelRateLimitReached: Too many channels")]


def test_limit__size_of_a_broadcast(peer: Any) -> None:
    peer.join(TOPIC, config={"broadcast": {"self": True, "ack": True}})
    peer.take()

    for message in (
        Message(TOPIC, "broadcast", {}, "1", "1"),
        BinaryPush(TOPIC, "e", b"", Encoding.JSON, b"{}", "1", "1"),
    ):
        peer.session.receive(message, peer.now, MAX_PAYLOAD + 1)
        assert peer.take() == [("phx_reply", {"status": "error", "response": "payload_size_exceeded"})]


def test_limit__presence_calls(peer: Any) -> None:
    peer.join(TOPIC)
    for _ in range(PRESENCE_CALLS):
        peer.push(TOPIC, "presence", {})
    peer.now += PRESENCE_WINDOW_S
    for _ in range(PRESENCE_CALLS):
        peer.push(TOPIC, "presence", {})
    peer.take()

    peer.push(TOPIC, "presence", {})

    assert peer.take() == [system("Client presence rate limit exceeded"), CLOSED]
