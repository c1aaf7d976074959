"""The audible half of a filter graph: every sound moved to its time, and all of them mixed."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

from reelbase.worker.filters import Chain, Filter, filter_
from reelbase.worker.takes import Clock, Take

_SAMPLE_RATE = 48_000


def sound_chains(sounds: Sequence[Take], clock: Clock) -> Iterator[Chain]:
    if not sounds:
        return
    for number, take in enumerate(sounds):
        yield Chain((f"{take.index}:a:0",), _heard(take, clock), (f"sound{number}",))
    voices = tuple(f"sound{number}" for number in range(len(sounds)))
    yield Chain(voices, _mixed(len(voices), clock), ("audio",))


def _heard(take: Take, clock: Clock) -> tuple[Filter, ...]:
    first = _samples(clock.seconds(take.first))
    return (
        # Silence where the source has gaps or starts late, or the sound would run ahead of its picture.
        filter_("aresample", sample_rate=_SAMPLE_RATE, **{"async": 1, "first_pts": 0}),
        filter_("aformat", sample_fmts="fltp", channel_layouts="stereo"),
        filter_("atrim", end_sample=_samples(clock.seconds(take.end)) - first),
        filter_("volume", volume=take.volume),
        filter_("adelay", delays=f"{first}S", all=1),
    )


def _mixed(voices: int, clock: Clock) -> tuple[Filter, ...]:
    total = _samples(clock.seconds(clock.total))
    return (
        # Without normalize=0 every element gets quieter when another one joins.
        filter_("amix", inputs=voices, duration="longest", normalize=0),
        filter_("apad", whole_len=total),
        filter_("atrim", end_sample=total),
    )


def _samples(seconds: Fraction) -> int:
    return ceil(seconds * _SAMPLE_RATE)
