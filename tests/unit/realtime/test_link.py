"""One socket's protocol against a server that does what it likes: what is wanted comes up again, for ever."""

import random
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from choices import Choices, programmes
from reelbase.realtime.endpoint import Timing
from reelbase.realtime.link import Action, Close, Down, Frame, Link, Open, Renew, Row, Send, Up
from reelbase.realtime.source import Source

TIMING = Timing()
SOURCES = [Source(), Source("system_events")]
SOURCES += [Source.of_job(UUID(int=number), broadcast=bool(number % 2)) for number in range(60)]

EVERYTHING_UP = (
    TIMING.longest_retry + 3 * TIMING.join + TIMING.longest_rejoin + TIMING.silence + TIMING.heartbeat
)
"""Seconds until a server that begins to cooperate has all channels, whatever was before."""

some = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


class Play:
    """A link, its shell and the server. The server answers joins when it is told to."""

    def __init__(self) -> None:
        self.link = Link(TIMING, random.Random(1))  # noqa: S311  # spreads load, guards nothing
        self.now = 1000.0
        self.cooperates = False
        self.opening = self.is_open = False
        self.unanswered_heartbeats = 0
        self.renewals = 0
        self.tokens = 0
        self.joins: list[Frame] = []
        """That the server has got on this socket and not answered."""
        self.joined: list[Frame] = []
        """Channels that the server holds."""
        self.closed: list[Frame] = []
        """Joins of channels that it has closed, on this socket."""
        self.told: dict[Source, bool] = {}
        """Whether listeners have been told last that a source is up."""
        self.acts = [
            (4, self.open),
            (1, self.fail_to_open),
            (1, self.lose),
            (4, self.add),
            (2, self.remove),
            (4, self.accept),
            (2, self.confirm),
            (1, self.refuse),
            (1, self.complain),
            (1, self.close),
            (2, self.close_old),
            (1, self.speak_nonsense),
            (2, self.send_row),
            (3, self.answer_heartbeat),
            (2, self.renew),
            (1, self.renew_late),
            (1, self.not_renew),
            (6, self.wait),
            (1, self.sleep),
        ]

    def play(self, choices: Choices) -> None:
        acts = [act for weight, act in self.acts for _ in range(weight)]
        while choices.left > 0:
            choices.of(acts)(choices)
            self.assert_sane()

    def assert_sane(self) -> None:
        assert self.unanswered_heartbeats <= 1
        assert len(self.link._by_topic) <= len(self.link.sources)
        assert self.link._joining() <= 20
        for source in SOURCES:
            assert self.link.is_up(source) == self.told.get(source, False)

    # The shell ----------------------------------------------------------------------------------

    def do(self, actions: Iterable[Action]) -> list[Action]:
        done = list(actions)
        for action in done:
            match action:
                case Open():
                    assert not self.opening
                    assert not self.is_open
                    self.opening = True
                case Close(reason):
                    assert done == [action]
                    self.drop(reason)
                case Send(frame):
                    assert self.is_open
                    self.receive(frame)
                case Renew():
                    self.renewals += 1
                    assert self.renewals == 1
                case Up(source):
                    assert source in self.link.sources
                    self.told[source] = True
                case Down(source):
                    assert source in self.link.sources
                    self.told[source] = False
                case Row(source):
                    assert source in self.link.sources
        if self.cooperates:
            self.cooperate()
        return done

    def drop(self, reason: str) -> None:
        self.opening = self.is_open = False
        self.unanswered_heartbeats = self.renewals = 0
        self.joins, self.joined, self.closed = [], [], []
        self.do(self.link.lost(self.now, reason))

    def until(self, moment: float) -> None:
        """Let time pass; the shell polls when it should."""
        at_once = 0
        while (deadline := self.link.deadline()) is not None and deadline <= moment:
            at_once = 0 if deadline > self.now else at_once + 1
            assert at_once < 5, "It never comes to rest."
            self.now = max(self.now, deadline)
            self.do(self.link.poll(self.now))
        self.now = moment

    # The server ---------------------------------------------------------------------------------

    def receive(self, frame: Frame) -> None:
        match frame["event"]:
            case "heartbeat":
                self.unanswered_heartbeats += 1
            case "phx_join":
                assert frame["payload"]["access_token"] == f"token {self.tokens}"
                assert frame["ref"] == frame["join_ref"]
                self.joins.append(frame)
            case "phx_leave":
                self.joins = [join for join in self.joins if join["join_ref"] != frame["join_ref"]]
                left = [join for join in self.joined if join["join_ref"] == frame["join_ref"]]
                self.joined = [join for join in self.joined if join not in left]
                self.closed += left
            case "access_token":
                assert frame["payload"] == {"access_token": f"token {self.tokens}"}

    def say(self, topic: str, event: str, payload: Any, ref: str | None = None) -> list[Action]:
        self.unanswered_heartbeats = 0
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        return self.do(self.link.received(self.now, frame))

    def reply(self, join: Frame, status: str) -> None:
        payload = {"status": status, "response": {}}
        self.say(join["topic"], "phx_reply", payload, join["ref"])

    def system(self, join: Frame, status: str) -> None:
        payload = {"status": status, "extension": "postgres_changes", "message": "as it is"}
        self.say(join["topic"], "system", payload)

    def cooperate(self) -> None:
        """Do all that is asked for."""
        if self.opening:
            self.open(Choices(b""))
        if self.renewals:
            self.renew(Choices(b""))
        while self.is_open and self.joins:
            self.accept(Choices(b"\x00\x01"))
        if self.unanswered_heartbeats:
            self.answer_heartbeat(Choices(b""))

    # What can happen ----------------------------------------------------------------------------

    def open(self, choices: Choices) -> None:
        if self.opening:
            self.opening, self.is_open = False, True
            self.tokens += 1
            due = choices.of([None, 0.0, 30.0])
            self.do(self.link.opened(self.now, f"token {self.tokens}", due))

    def fail_to_open(self, _: Choices) -> None:
        if self.opening:
            self.drop("refused")

    def lose(self, _: Choices) -> None:
        if self.is_open:
            self.drop("reset")

    def add(self, choices: Choices) -> None:
        first = choices.number(len(SOURCES))
        for source in SOURCES[first : first + choices.of([1, 3, 40])]:
            self.link.add(source)

    def remove(self, choices: Choices) -> None:
        first = choices.number(len(SOURCES))
        for source in SOURCES[first : first + choices.of([1, 3, 40])]:
            self.do(self.link.remove(source))
            self.told.pop(source, None)

    def accept(self, choices: Choices) -> None:
        """Let a channel in; it replaces the one that holds the topic, as Phoenix does it."""
        if not self.joins:
            return
        join = self.joins.pop(choices.number(len(self.joins)))
        old = [held for held in self.joined if held["topic"] == join["topic"]]
        self.joined = [held for held in self.joined if held not in old] + [join]
        self.reply(join, "ok")
        for held in old:
            self.closed.append(held)
            self.say(held["topic"], "phx_close", {}, held["ref"])
        if choices.yes():
            self.system(join, "ok")

    def confirm(self, choices: Choices) -> None:
        if self.joined:
            self.system(choices.of(self.joined), "ok")

    def refuse(self, choices: Choices) -> None:
        if self.joins:
            self.reply(self.joins.pop(choices.number(len(self.joins))), "error")

    def complain(self, choices: Choices) -> None:
        if self.joined:
            self.system(choices.of(self.joined), "error")

    def close(self, choices: Choices) -> None:
        if self.joined:
            join = self.joined.pop(choices.number(len(self.joined)))
            self.closed.append(join)
            self.say(join["topic"], choices.of(["phx_close", "phx_error"]), {}, join["ref"])

    def close_old(self, choices: Choices) -> None:
        """The end of a channel that was closed or left before is said once more."""
        if self.closed:
            join = choices.of(self.closed)
            assert self.say(join["topic"], "phx_close", {}, join["ref"]) == []

    def speak_nonsense(self, choices: Choices) -> None:
        topic = choices.of(["phoenix", "realtime:nothing", None, *(join["topic"] for join in self.joined)])
        event = choices.of(["phx_reply", "system", "postgres_changes", "broadcast", "presence_diff", None, 7])
        payload = choices.of([None, [], {}, {"status": "ok"}, {"data": None}, {"payload": 1}])
        if self.is_open:
            self.say(topic, event, payload, choices.of(["1", None, 5]))

    def send_row(self, choices: Choices) -> None:
        if self.joined:
            join = choices.of(self.joined)
            self.say(join["topic"], "postgres_changes", {"data": {"record": {}, "errors": None}})
            self.say(join["topic"], "broadcast", {"payload": {}})

    def answer_heartbeat(self, _: Choices) -> None:
        if self.is_open:
            self.say("phoenix", "phx_reply", {"status": "ok", "response": {}})

    def renew(self, choices: Choices) -> None:
        if self.renewals:
            self.renew_late(choices)

    def renew_late(self, choices: Choices) -> None:
        """A token that was asked for on an earlier socket, perhaps; all channels of this one hear of it."""
        self.renewals = 0
        self.tokens += 1
        due = choices.of([None, 0.0, 30.0])
        done = self.do(self.link.renewed(self.now, f"token {self.tokens}", due))
        told = {action.frame["topic"] for action in done if isinstance(action, Send)}
        assert told == ({*self.link._by_topic} if self.is_open else set())

    def not_renew(self, _: Choices) -> None:
        if self.renewals:
            self.renewals = 0
            self.do(self.link.not_renewed(self.now))

    def wait(self, choices: Choices) -> None:
        self.until(self.now + choices.of([0.01, 1.0, 12.0, 400.0]))

    def sleep(self, choices: Choices) -> None:
        """The machine sleeps, and so does the shell."""
        self.now += choices.of([60.0, 3600.0, 100_000.0])
        self.do(self.link.poll(self.now))


@some
@given(programmes())
def test_link__keeps_its_rules_whatever_the_server_does(choices: Choices) -> None:
    play = Play()

    play.play(choices)


@some
@given(programmes())
def test_link__brings_everything_up_once_the_server_cooperates(choices: Choices) -> None:
    play = Play()
    play.play(choices)

    play.cooperates = True
    play.cooperate()
    play.until(play.now + EVERYTHING_UP)

    assert {source for source, is_up in play.told.items() if is_up} == set(play.link.sources)
    # None is left over at the server.
    assert len(play.joined) == len(play.link.sources)
    play.assert_sane()


def test_channels_that_were_refused__are_joined_at_once_with_a_fresh_token() -> None:
    """The old one's time is over by the server's clock, and not yet by ours."""
    link, now = Link(TIMING, random.Random(1)), 1000.0  # noqa: S311  # spreads load, guards nothing
    link.add(SOURCES[0])
    link.poll(now)
    [join] = link.opened(now, "old", 3600.0)
    for _ in range(8):
        now += TIMING.longest_rejoin
        link.received(now, _refusal_of(join))
        [join] = [action for action in link.poll(now + TIMING.longest_rejoin) if _is_join(action)]
    link.received(now, _refusal_of(join))

    link.renewed(now, "new", 3600.0)

    assert [action.frame["payload"]["access_token"] for action in link.poll(now) if _is_join(action)] == [
        "new"
    ]


@pytest.mark.parametrize("token", ["the same", "token {}"])
def test_token_that_is_always_due__does_not_have_refused_channels_joined_at_its_beat(token: str) -> None:
    """A provider of expired tokens, or a clock that is wrong. Each refusal silences the whole socket."""
    link, now, joins = Link(TIMING, random.Random(1)), 1000.0, 0  # noqa: S311  # spreads load, guards nothing
    link.add(SOURCES[0])
    link.poll(now)
    actions, renewals = link.opened(now, "the same", 0.0), 0
    while now < 1000.0 + TIMING.longest_rejoin:
        for action in actions:
            if isinstance(action, Renew):
                renewals += 1
                link.renewed(now, token.format(renewals), 0.0)
            elif _is_join(action):
                joins += 1
                link.received(now, _refusal_of(action))
            else:
                link.received(now, {"topic": "phoenix"})
        now = max(now, _deadline(link))
        actions = link.poll(now)

    assert renewals > 100
    assert joins < 25


@pytest.mark.parametrize(("holds", "grows"), [(0.01, True), (TIMING.longest_retry, False)])
def test_server_that_lets_in_and_ends_at_once__is_asked_less_and_less(holds: float, grows: bool) -> None:
    link, now = Link(TIMING, random.Random(1)), 1000.0  # noqa: S311  # spreads load, guards nothing
    link.add(SOURCES[0])
    delays = []
    for _ in range(10):
        assert link.poll(now) == [Open()]
        [join] = link.opened(now, "token", None)
        assert link.received(now, _confirmation_of(join)) == [Up(SOURCES[0])]
        link.lost(now + holds, "reset")
        delays.append(_deadline(link) - now - holds)
        now = _deadline(link)

    assert (max(delays) > TIMING.longest_retry / 4) is grows


def test_channel_that_is_confirmed_and_ended_at_once__is_joined_less_and_less() -> None:
    link, now = Link(TIMING, random.Random(1)), 1000.0  # noqa: S311  # spreads load, guards nothing
    link.add(SOURCES[0])
    link.poll(now)
    [join] = link.opened(now, "token", None)
    moments = []
    while len(moments) < 10:
        if _is_join(join):
            moments.append(now)
            link.received(now, _confirmation_of(join))
            link.received(now, {**join.frame, "event": "phx_close", "payload": {}})
        elif isinstance(join, Send):
            # A heartbeat.
            link.received(now, {**join.frame, "event": "phx_reply"})
        now = _deadline(link)
        [join, *_] = link.poll(now)

    assert moments[-1] - moments[0] > 10 * len(moments) * TIMING.first_retry


def _deadline(link: Link) -> float:
    deadline = link.deadline()
    assert deadline is not None
    return deadline


def _is_join(action: Action) -> bool:
    return isinstance(action, Send) and action.frame["event"] == "phx_join"


def _refusal_of(join: Any) -> Frame:
    frame = join.frame
    return {**frame, "event": "phx_reply", "payload": {"status": "error", "response": {"reason": "expired"}}}


def _confirmation_of(join: Any) -> Frame:
    payload = {"status": "ok", "extension": "postgres_changes", "message": "Subscribed to PostgreSQL"}
    return {"topic": join.frame["topic"], "event": "system", "payload": payload, "ref": None}
