"""What goes wrong, and when: a pure function of the seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from chaos.wire import Trick


class What(StrEnum):
    GATEWAY_KILLED = "the gateway is killed"
    POSTGRES_FAST = "Postgres is stopped (fast)"
    POSTGRES_IMMEDIATE = "Postgres is stopped (immediate)"
    POSTGRES_CRASH = "Postgres crashes and recovers"
    CUT = "the wire is cut"
    RESET = "connections are reset"
    STALL = "connections fall silent"
    GARBLE = "messages are garbled"
    CONSUMER_KILLED = "the consumer is killed"
    TOKENS_REFUSED = "no new tokens are to be had"


class Part(StrEnum):
    """What faults happen to: one at a time to each part, to different parts at the same time."""

    GATEWAY = "gateway"
    POSTGRES = "postgres"
    WIRE = "wire"
    CONSUMER = "consumer"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Fault:
    """Begins `at` seconds after the start and lasts for `seconds`, where it lasts."""

    at: float
    what: What
    seconds: float = 0.0
    share: float = 1.0
    """Of the connections."""
    trick: Trick = Trick.LOSE
    messages: int = 0

    def __str__(self) -> str:
        details = {
            What.POSTGRES_CRASH: "",
            What.RESET: f", {self.share:.0%} of them",
            What.STALL: f", {self.share:.0%} of them, new ones for {self.seconds:.1f} s",
            What.GARBLE: f": {self.trick} {self.messages}",
        }
        return f"{self.at:5.1f} s: {self.what}{details.get(self.what, f' for {self.seconds:.1f} s')}"


Plan = dict[Part, list[Fault]]


def plan(seed: int, seconds: float) -> Plan:
    """Everything that happens to each part in so many seconds."""
    return {part: list(_faults(part, Random(f"{seed} {part}"), seconds)) for part in Part}


_WEATHER: dict[Part, tuple[float, float, dict[What, int]]] = {
    Part.GATEWAY: (12.0, 25.0, {What.GATEWAY_KILLED: 1}),
    Part.POSTGRES: (
        (12.0, 25.0, {What.POSTGRES_FAST: 1, What.POSTGRES_IMMEDIATE: 1, What.POSTGRES_CRASH: 1})
    ),
    Part.WIRE: (2.0, 6.0, {What.CUT: 1, What.RESET: 2, What.STALL: 2, What.GARBLE: 6}),
    Part.CONSUMER: (3.0, 8.0, {What.CONSUMER_KILLED: 1}),
    Part.TOKENS: (8.0, 15.0, {What.TOKENS_REFUSED: 1}),
}
"""The shortest and longest calm before a fault, and which ones there are how often.

Long enough for most listeners to be live again: what happens to those who only poll tells little.
"""


def _faults(part: Part, randomness: Random, seconds: float) -> Iterator[Fault]:
    shortest, longest, whats = _WEATHER[part]
    at = 0.0
    while (at := at + randomness.uniform(shortest, longest)) < seconds:
        fault = _fault(at, randomness.choices(list(whats), list(whats.values()))[0], randomness)
        at += fault.seconds
        yield fault


_AT_ONCE = {What.POSTGRES_CRASH, What.RESET, What.GARBLE}


def _fault(at: float, what: What, randomness: Random) -> Fault:
    return Fault(
        round(at, 1),
        what,
        seconds=0.0 if what in _AT_ONCE else round(randomness.uniform(0.1, 3.0), 1),
        share=randomness.choice([0.2, 0.5, 1.0]),
        trick=randomness.choice(list(Trick)),
        messages=randomness.randint(1, 30),
    )
