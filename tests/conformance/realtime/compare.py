"""Tells where the frames that a client received differ from the recorded ones."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from conformance.realtime.frames import Frame, Lane, confirms_subscription, lane, topic_and_event
from conformance.realtime.placeholders import Memory, show


def differences(
    expected: Sequence[Frame], received: Iterable[Frame], memory: Memory, may: Sequence[Sequence[str]] = ()
) -> list[str]:
    """`may` names topics and events that a race decides: such a frame may come or not."""
    counted = [frame for frame in received if list(topic_and_event(frame)) not in may]
    counted = list(_without_repetitions(expected, counted))
    # In the order of the recording, in which a reply that tells ids comes before what mentions them.
    lanes = dict.fromkeys(map(lane, (*expected, *counted)))
    return [difference for key in lanes for difference in _of_lane(key, expected, counted, memory)]


def is_complete(expected: Iterable[Frame], received: Iterable[Frame]) -> bool:
    """Whether as many frames have come as are expected in each lane."""
    return Counter(map(lane, expected)) <= Counter(map(lane, received))


def _without_repetitions(expected: Iterable[Frame], received: Iterable[Frame]) -> Iterator[Frame]:
    """The real server may confirm a subscription at any time again."""
    wanted = Counter(topic_and_event(frame) for frame in expected if confirms_subscription(frame))
    for frame in received:
        if confirms_subscription(frame):
            wanted[topic_and_event(frame)] -= 1
            if wanted[topic_and_event(frame)] < 0:
                continue
        yield frame


def _of_lane(
    key: Lane, expected: Sequence[Frame], received: Sequence[Frame], memory: Memory
) -> Iterator[str]:
    pairs = zip_longest(
        (frame for frame in expected if lane(frame) == key),
        (frame for frame in received if lane(frame) == key),
    )
    for number, (wanted, got) in enumerate(pairs, 1):
        where = f"{' '.join(key)}, frame {number}"
        if got is None:
            yield f"{where}: missing {show(wanted)}"
        elif wanted is None:
            yield f"{where}: unexpected {show(got)}"
        else:
            yield from memory.differences(wanted, got, where)
