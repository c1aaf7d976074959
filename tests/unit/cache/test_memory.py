"""The bounds of the memory, and what no longer holds."""

import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbase.cache.memory import Entry, Memory

FOR_EVER = time.monotonic() + 3600


def entry(memory: Memory, value: object, *tags: str, expires: float = FOR_EVER) -> Entry:
    return Entry(value, tags, memory.moment(), expires)


def test_entries__are_bounded_and_the_oldest_go() -> None:
    memory = Memory(2, 10_000)
    for name in ("a", "b"):
        memory.put(name, entry(memory, name))
    memory.get("a")

    memory.put("c", entry(memory, "c"))

    assert [name for name in "abc" if memory.get(name)] == ["a", "c"]
    assert memory.measure()[0::2] == (2, 1)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3_000)), max_size=60))
def test_bounds__hold_whatever_is_put(puts: list[tuple[int, int]]) -> None:
    memory = Memory(10, 5_000)

    for key, length in puts:
        memory.put(key, entry(memory, "x" * length))
        entries, size, _ = memory.measure()

        assert entries <= 10
        assert size <= 5_000


def test_what_is_larger_than_all_room__is_not_kept_and_drives_nothing_out() -> None:
    memory = Memory(10, 1_000)
    memory.put("small", entry(memory, "x"))

    memory.put("large", entry(memory, "x" * 2_000))

    assert memory.get("large") is None
    assert memory.get("small") is not None


def test_what_has_expired__is_gone() -> None:
    memory = Memory(10, 1_000)

    memory.put("a", entry(memory, "a", expires=time.monotonic() - 1))

    assert memory.get("a") is None
    assert memory.measure() == (0, 0, 0)


def test_invalidate__reaches_what_has_the_tag_and_nothing_else() -> None:
    memory = Memory(10, 10_000)
    memory.put("a", entry(memory, "a", "all", "job", "job:1"))
    memory.put("b", entry(memory, "b", "all", "job", "job:2"))

    memory.invalidate(["job:1"])

    assert memory.get("a") is None
    assert memory.get("b") is not None


def test_what_was_being_read_during_a_write__is_not_kept() -> None:
    memory = Memory(10, 10_000)
    begun_before = entry(memory, "old", "job:1")

    memory.invalidate(["job:1"])
    memory.put("a", begun_before)
    assert memory.get("a") is None

    memory.put("a", entry(memory, "new", "job:1"))
    assert memory.get("a") is not None


def test_tags__are_not_remembered_for_ever() -> None:
    memory = Memory(10, 10_000)
    memory.put("a", entry(memory, "a", "job:1"))
    before = entry(memory, "old", "job:0")

    for number in range(25_000):
        memory.invalidate([f"job:{number + 2}"])
    memory.put("b", before)

    assert len(memory._invalidated) <= 10_001
    assert memory.get("b") is None
    # Forgotten with the tags, rather than kept on with a tag that is no longer known.
    assert memory.get("a") is None


def test_clear__forgets_all_and_what_is_being_read() -> None:
    memory = Memory(10, 10_000)
    memory.put("a", entry(memory, "a"))
    under_way = entry(memory, "b")

    memory.clear()
    memory.put("b", under_way)

    assert memory.measure()[:2] == (0, 0)
    assert memory.get("b") is None


@pytest.mark.parametrize("threads", [8])
def test_threads__hammer_it_and_never_see_what_was_invalidated(threads: int) -> None:
    memory = Memory(50, 1_000_000)
    current = [0] * 20
    guard = [threading.Lock() for _ in current]
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311  # no secret
        for _ in range(3_000):
            number = chance.randrange(len(current))
            if chance.random() < 0.2:
                with guard[number]:
                    current[number] += 1
                    memory.invalidate([f"job:{number}"])
                continue
            least = current[number]
            held = memory.get(number)
            if held is None:
                born = memory.moment()
                with guard[number]:
                    value = current[number]
                memory.put(number, Entry(value, ("all", f"job:{number}"), born, FOR_EVER))
            elif held.value < least - 1:
                # The write that counted last may not have said so yet; all before it have.
                wrong.append(f"{number}: {held.value} after {least}")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert wrong == []
    assert memory.measure()[0] <= 20
