"""One listener's feed against a model of the log: whatever happens meanwhile, every event once, in order."""

import random
from abc import ABC, abstractmethod
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from choices import Choices, programmes
from log_model import LogModel, Transaction, in_order_of_seq
from reelbase.errors import EventsMissing
from reelbase.models import EventType, Job, JobEvent, JobStatus
from reelbase.realtime import feed as feed_module
from reelbase.realtime.feed import End, Feed, Read, Wait
from reelbase.realtime.order import JobOrder, LogOrder, Verdict
from reelbase.realtime.state import ConnectionPhase
from reelbase.realtime.watch import Tail

JOBS = [UUID(int=number) for number in range(1, 5)]
TYPES = [EventType.JOB_PROGRESS, EventType.STEP_STARTED]
STATUSES = [JobStatus.PENDING, JobStatus.PROCESSING]
FILTERS = [
    Tail(),
    Tail(types={TYPES[0]}),
    Tail(status={STATUSES[1]}),
    Tail(types={TYPES[1]}, status={STATUSES[0]}),
]

EVERYTHING_KNOWN = 70.0
"""Seconds until the log has been read, even if the last beat before was a long one."""

CHANCE = random.Random(1)  # noqa: S311  # spreads load, guards nothing

some = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def small_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "INBOX", 3)


class Listening(ABC):
    """A log that is written to, and a feed that is told what a poor network makes of it."""

    feed: Feed[Any]

    def __init__(self, choices: Choices) -> None:
        self.model = LogModel()
        self.now = 0.0
        self.delivered: list[JobEvent] = []
        self.flushed: list[JobEvent] = []
        """What Realtime may tell of: it reads the journal, where a commit stands before snapshots see it."""
        self.ending: list[Transaction] = []
        """Transactions in the journal, which no snapshot sees as finished yet."""
        self.reading = self.has_read = False
        self.asked_for: Any = None
        self.snapshot: Any = None
        self.is_up = False
        self.acts = [
            (6, self.write_and_commit),
            (6, self.consume),
            (5, self.answer),
            (3, self.tell),
            (2, self.begin),
            (3, self.write),
            (2, self.flush),
            (2, self.finish),
            (1, self.roll_back),
            (2, self.up),
            (1, self.down),
            (1, self.tell_what_cannot_be_read),
            (2, self.look),
            (1, self.fail),
            (3, self.wait),
            (3, self.rest),
        ]
        self.limit = 1 + choices.number(4)
        self.start(choices)

    def play(self, choices: Choices) -> None:
        """Let happen what the choices say."""
        acts = [act for weight, act in self.acts for _ in range(weight)]
        while choices.left > 0:
            choices.of(acts)(choices)
            assert in_order_of_seq(self.delivered)
            self.assert_resumable()

    # Of the two logs ----------------------------------------------------------------------------

    @abstractmethod
    def start(self, choices: Choices) -> None:
        """Make the feed, at the present or at another place in a log."""

    @abstractmethod
    def place(self) -> Any:
        """After which the log is to be read next."""

    @abstractmethod
    def page(self) -> Any:
        """What the log says now to the read that is under way."""

    @abstractmethod
    def has_more(self, page: Any) -> bool: ...

    @abstractmethod
    def wanted(self) -> list[JobEvent]:
        """All that is to be delivered, once everything is committed."""

    @abstractmethod
    def assert_resumable(self) -> None:
        """Whoever goes on from where this feed says it is misses nothing."""

    def wants(self, event: JobEvent) -> bool:
        return True

    def listens_to(self, event: JobEvent) -> bool:
        return True

    # Writers ------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Transaction]:
        return [transaction for transaction in self.model.open if transaction not in self.ending]

    def begin(self, _: Choices) -> None:
        if len(self.model.open) < 4:
            self.model.begin()

    def write(self, choices: Choices) -> None:
        if self.active:
            self.append(choices, choices.of(self.active))

    def append(self, choices: Choices, transaction: Transaction) -> None:
        job = choices.of(JOBS)
        if not self.model.locked(job, transaction):
            for _ in range(1 + choices.number(3)):
                self.model.write(transaction, job, choices.of(TYPES), choices.of(STATUSES))

    def write_and_commit(self, choices: Choices) -> None:
        """What mostly happens."""
        transaction = self.model.begin()
        self.append(choices, transaction)
        self.commit_and_tell(choices, transaction)

    def commit_and_tell(self, choices: Choices, transaction: Transaction) -> None:
        self.flushed += transaction.events
        self.model.commit(transaction)
        self.tell_perhaps(choices, transaction)

    def tell_perhaps(self, choices: Choices, transaction: Transaction) -> None:
        for event in transaction.events:
            if choices.number(4):
                self.hear(event)

    def flush(self, choices: Choices) -> None:
        if self.active:
            self.ending.append(choices.of(self.active))
            self.flushed += self.ending[-1].events
            self.tell_perhaps(choices, self.ending[-1])

    def finish(self, choices: Choices) -> None:
        if self.ending:
            self.model.commit(self.ending.pop(choices.number(len(self.ending))))

    def roll_back(self, choices: Choices) -> None:
        if self.active:
            self.model.roll_back(choices.of(self.active))

    # The live connection ------------------------------------------------------------------------

    # A stream listens once the log has been read for the first time.

    def up(self, _: Choices) -> None:
        if self.has_read:
            self.is_up = True
            self.feed.up(self.now)

    def down(self, _: Choices) -> None:
        if self.has_read:
            self.is_up = False
            self.feed.down(self.now, "lost")

    def tell(self, choices: Choices) -> None:
        """Rows arrive: newer and older ones, in any order, some again."""
        for _ in range(choices.number(6) if self.flushed else 0):
            self.hear(self.flushed[-1 - choices.number(8) % len(self.flushed)])

    def hear(self, event: JobEvent | None) -> None:
        if self.has_read and (event is None or self.listens_to(event)):
            self.feed.row(self.now, event)

    def tell_what_cannot_be_read(self, _: Choices) -> None:
        self.hear(None)

    # The log ------------------------------------------------------------------------------------

    def ask(self) -> None:
        assert not self.reading
        self.reading = True
        self.asked_for = self.place()

    def look(self, _: Choices) -> None:
        """The database runs the query; the answer arrives later."""
        if self.reading and self.snapshot is None:
            self.snapshot = self.page()

    def answer(self, _: Choices) -> None:
        if self.reading:
            page = self.page() if self.snapshot is None else self.snapshot
            self.reading, self.snapshot, self.has_read = False, None, True
            self.feed.page(self.now, page, more=self.has_more(page))

    def fail(self, _: Choices) -> None:
        if self.reading:
            self.reading, self.snapshot = False, None
            self.feed.failed(self.now, "the log is away")

    # The reader ---------------------------------------------------------------------------------

    def consume(self, choices: Choices) -> None:
        """Take some events, also while the log is read."""
        events, answers = 1 + choices.number(5), choices.yes()
        while events:
            step = self.feed.step(self.now)
            if isinstance(step, JobEvent):
                self.delivered.append(step)
                events -= 1
            elif not isinstance(step, Read):
                break
            else:
                self.ask()
                if answers:
                    self.answer(choices)

    def wait(self, choices: Choices) -> None:
        self.now += choices.of([0.01, 0.5, 3.0, 40.0])

    def rest(self, choices: Choices) -> None:
        """A while in which the log answers and nothing else happens."""
        self.run(choices.of([1.0, 20.0]))

    # The end ------------------------------------------------------------------------------------

    def settle(self) -> None:
        """All writers end, and time passes, with the live connection as it is: dead, silent or well."""
        for transaction in list(self.model.open):
            self.model.commit(transaction)
        self.ending.clear()
        self.run(EVERYTHING_KNOWN)

    def run(self, seconds: float) -> None:
        """Let time pass; the log answers at once, and no row comes."""
        until, steps = self.now + seconds, 0
        if self.reading:
            self.answer(Choices(b""))
        while True:
            steps += 1
            assert steps < 100 * seconds + 1000, "It never comes to rest."
            step = self.feed.step(self.now)
            if isinstance(step, JobEvent):
                self.delivered.append(step)
            elif isinstance(step, Read):
                self.ask()
                self.answer(Choices(b""))
            elif isinstance(step, Wait) and step.until is not None and step.until <= until:
                assert step.until > self.now
                self.now = step.until
            else:
                break
        self.now = until

    def assert_all_is_told(self) -> None:
        assert [event.id for event in in_order(self.delivered)] == [
            event.id for event in in_order(self.wanted())
        ]
        assert in_order_of_seq(self.delivered)

    def has_ended(self) -> bool:
        return isinstance(self.feed.step(self.now), End)

    def append_wanted(self) -> JobEvent:
        """An event that is to be delivered."""
        transaction = self.model.begin()
        while True:
            for type_, status in product(TYPES, STATUSES):
                event = self.model.write(transaction, JOBS[0], type_, status)
                if self.wants(event):
                    self.model.commit(transaction)
                    return event

    def assert_live(self) -> None:
        """Rows that come are delivered at once, and the feed is called live."""
        for number in range(3):
            pushed = self.feed.counts.pushed
            event = self.append_wanted()
            for row in self.model.newest:
                self.feed.row(self.now, row)
            self.run(0.1)
            assert self.delivered[-1] == event
            # The first row of a job that was not heard of before has the log read.
            assert self.feed.counts.pushed > pushed or number == 0
        assert self.feed.state.phase is ConnectionPhase.LIVE

    def assert_polling(self) -> None:
        """Rows that do not come are read, and the feed is called polling."""
        for _ in range(3):
            event = self.append_wanted()
            self.run(EVERYTHING_KNOWN)
            assert self.delivered[-1] == event
        assert self.feed.state.phase is ConnectionPhase.POLLING


def in_order(events: list[JobEvent]) -> list[JobEvent]:
    return sorted(events, key=lambda event: event.id)


class WholeLog(Listening):
    def start(self, choices: Choices) -> None:
        for job in JOBS[: choices.number(4)]:
            self.flushed.append(self.model.append(job))
        self.tail = choices.of(FILTERS)
        self.cursor = self.model.end if choices.yes() else None
        self.order = LogOrder(self.cursor, self.tail.wants)
        self.feed = Feed(self.order, self.now, chance=CHANCE)

    def place(self) -> Any:
        return self.order.cursor

    def page(self) -> Any:
        return self.model.read_all(self.asked_for, self.tail.wants, self.limit)

    def has_more(self, page: Any) -> bool:
        return bool(page.more)

    def assert_resumable(self) -> None:
        cursor = self.order.earlier_cursor if self.feed.is_telling else self.order.cursor
        told = {event.id for event in [*self.delivered, *self.model.after(cursor)]}
        assert told >= {event.id for event in self.wanted()}

    def wants(self, event: JobEvent) -> bool:
        return self.tail.wants(event)

    def wanted(self) -> list[JobEvent]:
        return [event for event in self.model.after(self.cursor) if self.tail.wants(event)]


class OneJob(Listening):
    def start(self, choices: Choices) -> None:
        before = choices.number(4)
        for _ in range(before):
            self.model.append(JOBS[0])
        self.after_seq = choices.number(before + 1)
        self.order = JobOrder(JOBS[0], self.after_seq)
        self.feed = Feed(self.order, self.now, chance=CHANCE)
        self.acts.append((1, self.end))

    def end(self, choices: Choices) -> None:
        transaction = self.model.begin()
        has_ended = any(event.is_terminal for event in self.model.log)
        if not has_ended and not self.model.locked(JOBS[0], transaction):
            self.model.write(transaction, JOBS[0], EventType.JOB_STATUS, JobStatus.COMPLETED)
        self.commit_and_tell(choices, transaction)

    def listens_to(self, event: JobEvent) -> bool:
        return event.job_id == JOBS[0]

    def place(self) -> Any:
        return self.order.last_seq

    def page(self) -> Any:
        return self.model.read_job(JOBS[0], self.asked_for, self.limit)

    def has_more(self, page: Any) -> bool:
        return len(page) == self.limit

    def assert_resumable(self) -> None:
        # By the seq of what was told last.
        told = [event.seq for event in self.delivered]
        assert told == list(range(self.after_seq + 1, self.after_seq + len(told) + 1))

    def wanted(self) -> list[JobEvent]:
        log = [e for e in self.model.log if e.job_id == JOBS[0] and e.seq > self.after_seq]
        ends = [place for place, event in enumerate(log, 1) if event.is_terminal]
        return log[: ends[0]] if ends else log


class RetriedJob(OneJob):
    """A job that ends and is tried again, before it is watched and meanwhile."""

    def start(self, choices: Choices) -> None:
        self.begun: Job | None = None
        for _ in range(choices.number(12)):
            self.change(choices, self.model.begin())
        self.flushed += self.model.log
        self.after_seq = choices.number(len(self.model.log) + 1)
        self.order = JobOrder(JOBS[0], self.after_seq)
        self.feed = Feed(self.order, self.now, chance=CHANCE)
        self.acts += [(2, self.end), (2, self.end), (2, self.end)]

    def end(self, choices: Choices) -> None:
        transaction = self.model.begin()
        if not self.model.locked(JOBS[0], transaction):
            self.change(choices, transaction, commit=False)
        self.commit_and_tell(choices, transaction)

    def change(self, choices: Choices, transaction: Transaction, *, commit: bool = True) -> None:
        """The end, a retry, or neither."""
        kind = choices.number(3)
        if kind == 0:
            self.model.write(transaction, JOBS[0])
        elif self.last_change() is None or not self.last_change().is_terminal:  # type: ignore[union-attr]
            self.model.write(transaction, JOBS[0], EventType.JOB_STATUS, JobStatus.COMPLETED)
        else:
            self.model.write(transaction, JOBS[0], EventType.JOB_STATUS, JobStatus.PENDING)
        if commit:
            self.model.commit(transaction)

    def last_change(self, until: int = 10**6) -> JobEvent | None:
        changes = [e for e in self.of_job() if e.type is EventType.JOB_STATUS and e.seq <= until]
        return changes[-1] if changes else None

    def of_job(self) -> list[JobEvent]:
        return [event for event in self.model.log if event.job_id == JOBS[0]]

    def answer(self, choices: Choices) -> None:
        if self.reading and self.begun is None:
            rows, change = self.page() if self.snapshot is None else self.snapshot, self.last_change()
            self.begun = Job.model_construct(
                event_seq=len(self.of_job()), is_terminal=change is not None and change.is_terminal
            )
            self.snapshot = rows or self.page()
            self.order.begin(self.begun)
        super().answer(choices)

    def assert_all_is_told(self) -> None:
        """Up to an end, and not to one that lay before the last change when the watch began."""
        self.assert_resumable()
        told = self.after_seq + len(self.delivered)
        change = self.last_change()
        assert self.begun is not None
        if not self.has_ended():
            assert told == len(self.of_job())
            assert change is None or not change.is_terminal
        elif not self.begun.is_terminal:
            assert told > self.begun.event_seq
            assert self.is_end(told)
        elif not self.is_end(told):
            assert told == self.begun.event_seq
        else:
            before = self.last_change(self.begun.event_seq)
            assert before is not None
            assert told >= max(before.seq, self.after_seq)

    def is_end(self, seq: int) -> bool:
        event = self.of_job()[seq - 1] if seq else None
        return event is not None and event.type is EventType.JOB_STATUS and event.is_terminal


_AT_REST = {
    True: {ConnectionPhase.LIVE, ConnectionPhase.POLLING},
    False: {ConnectionPhase.CONNECTING, ConnectionPhase.POLLING},
}
"""By whether the connection is up. One that is up may have proved silent."""


@pytest.fixture(params=[WholeLog, OneJob])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@some
@given(programmes())
def test_feed__tells_each_event_once_and_in_order(kind: type[Listening], choices: Choices) -> None:
    listening = kind(choices)
    listening.play(choices)
    listening.settle()

    listening.assert_all_is_told()


@some
@given(programmes())
def test_feed_of_a_job_that_is_retried__tells_everything_up_to_its_last_end(choices: Choices) -> None:
    listening = RetriedJob(choices)
    listening.play(choices)
    listening.settle()

    listening.assert_all_is_told()


@some
@given(programmes())
def test_feed__is_live_when_rows_come_and_polls_when_they_do_not(
    kind: type[Listening], choices: Choices
) -> None:
    listening = kind(choices)
    listening.play(choices)
    listening.settle()
    if listening.has_ended():
        return

    assert listening.feed.state.phase in _AT_REST[listening.is_up]
    if not listening.is_up:
        listening.up(choices)
    listening.assert_live()
    listening.assert_polling()
    listening.assert_live()
    listening.down(choices)
    assert listening.feed.state.phase is ConnectionPhase.POLLING
    listening.assert_all_is_told()


class _Empty:
    """A log where nothing ever happens."""

    ended = waiting = False

    def read(self, page: list[JobEvent]) -> list[JobEvent]:
        return page


@pytest.mark.parametrize("was_up", [True, False])
def test_log_that_could_not_be_read__is_named_only_until_it_can(was_up: bool) -> None:
    feed: Feed[Any] = Feed(_Empty(), 0.0)  # type: ignore[arg-type]  # it is offered nothing
    feed.page(0.0, [], more=False)
    feed.up(0.0) if was_up else feed.down(0.0, "refused")

    assert isinstance(feed.step(10.0), Read)
    feed.failed(10.0, "the log is away")
    assert feed.state.reason == "the log is away"
    assert isinstance(feed.step(20.0), Read)
    feed.page(20.0, [], more=False)

    expected = (ConnectionPhase.LIVE, "rows come by push") if was_up else (ConnectionPhase.POLLING, "refused")
    assert (feed.state.phase, feed.state.reason) == expected


MISSES = {
    "up": lambda feed: feed.up(5.0),
    "a row that cannot be read": lambda feed: feed.row(5.0, None),
    "a row too many": lambda feed: [feed.row(5.0, LogModel().append(JOBS[0])) for _ in range(4)],
    "a row whose forerunner is missing": lambda feed: feed.row(5.0, _later_event()),
}


def _later_event() -> JobEvent:
    model = LogModel()
    return [model.append(JOBS[0]) for _ in range(3)][-1]


@pytest.mark.parametrize("miss", MISSES)
@pytest.mark.parametrize("while_reading", [True, False])
def test_what_is_missing__is_read_at_once(miss: str, while_reading: bool) -> None:
    feed: Feed[Any] = Feed(JobOrder(JOBS[0], 0), 0.0)
    assert isinstance(feed.step(0.0), Read)
    feed.page(0.0, [], more=False)
    if while_reading:
        assert isinstance(feed.step(5.0), Read)

    MISSES[miss](feed)

    if while_reading:
        assert isinstance(feed.step(5.0), Wait)
        feed.page(5.0, [], more=False)
    assert isinstance(feed.step(5.1), Read)


def test_row_that_the_log_does_not_show_yet__is_waited_for_at_a_fast_beat() -> None:
    model = LogModel()
    order = LogOrder(model.end)
    feed: Feed[Any] = Feed(order, 0.0)
    seen = model.append(JOBS[0])
    slow = model.begin()
    model.write(slow, JOBS[1])
    late = model.append(JOBS[0])
    assert isinstance(feed.step(0.0), Read)
    feed.page(0.0, model.read_all(order.cursor, lambda _: True, 10), more=False)
    assert feed.step(0.0) == seen

    feed.row(1.0, model.append(JOBS[0]))

    reads = 0
    for hundredth in range(100, 300):
        if hundredth == 250:
            model.commit(slow)
        if isinstance(step := feed.step(hundredth / 100), Read):
            reads += 1
            feed.page(hundredth / 100, model.read_all(order.cursor, lambda _: True, 10), more=False)
            if feed.step(hundredth / 100) == slow.events[0]:
                break
        else:
            assert isinstance(step, Wait)
    # Within half a second of the slow one's commit, and not at the beat of ten.
    assert feed.step(3.0) == late
    assert reads < 20


@pytest.mark.parametrize(("rows", "most"), [(1, 40), (3_000, 130)])
def test_rows_that_the_log_never_shows__are_waited_for_at_a_beat_that_grows(rows: int, most: int) -> None:
    """A job that is deleted, or unseen ones that keep telling while an old transaction is open."""
    model = LogModel()
    order = LogOrder(model.end)
    feed: Feed[Any] = Feed(order, 0.0)
    nothing = model.read_all(order.cursor, lambda _: True, 10)
    assert isinstance(feed.step(0.0), Read)
    feed.page(0.0, nothing, more=False)
    for job in range(rows):
        model.append(UUID(int=job))
    late = [model.append(UUID(int=job)) for job in range(rows)]

    reads = answered_at = 0
    for millisecond in range(60_000):
        now = millisecond / 1000
        if millisecond % 20 == 0 and late:
            feed.row(now, late.pop())
        if millisecond == answered_at:
            feed.page(now, nothing, more=False)
        if isinstance(feed.step(now), Read):
            # While it is read, more of them come.
            reads, answered_at = reads + 1, millisecond + 30
            feed.step(now)

    assert order.waiting
    assert reads < most


def test_job_of_which_nothing_was_wanted_yet__is_pushed_from_its_second_row_on() -> None:
    model, tail = LogModel(), Tail(types={EventType.STEP_STARTED})
    model.append(JOBS[0])
    order = LogOrder(model.end, tail.wants)
    unwanted = model.append(JOBS[0])

    assert order.offer(unwanted) is Verdict.GAP
    assert order.read(model.read_all(order.cursor, tail.wants, 10)) == []
    assert not order.waiting

    assert order.offer(model.append(JOBS[0])) is Verdict.DROP
    assert order.offer(model.append(JOBS[0], EventType.STEP_STARTED)) is Verdict.DELIVER


@pytest.mark.parametrize("after_seq", [0, 2])
def test_log_that_is_gone__is_told_and_not_waited_for(after_seq: int) -> None:
    order = JobOrder(JOBS[0], after_seq)
    order.begin(Job.model_construct(event_seq=3, is_terminal=True))

    with pytest.raises(EventsMissing, match=f"has no event {after_seq + 1} in its log, nor any after it"):
        order.read([])


def test_row_of_an_end_before_the_watch__has_the_log_read_to_see_whether_a_retry_followed() -> None:
    model = LogModel()
    kinds = [JobStatus.PROCESSING, JobStatus.COMPLETED, JobStatus.PENDING, JobStatus.COMPLETED]
    for status in kinds:
        transaction = model.begin()
        model.write(transaction, JOBS[0], EventType.JOB_STATUS, status)
        model.commit(transaction)
    order = JobOrder(JOBS[0], 0)
    order.begin(Job.model_construct(event_seq=4, is_terminal=True))
    assert order.read(model.log[:1]) == model.log[:1]

    assert order.offer(model.log[1]) is Verdict.GAP
    assert order.read(model.log[1:]) == model.log[1:]
    assert order.ended
