"""Programmes of random choices that Hypothesis makes and shrinks in one draw, which is fast."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices:
    """Decisions, as many as there are bytes; after that always the first alternative."""

    def __init__(self, material: bytes) -> None:
        self._material = iter(material)
        self.left = len(material)

    def number(self, below: int) -> int:
        self.left -= 1
        return next(self._material, 0) % below

    def of(self, alternatives: Sequence[T]) -> T:
        return alternatives[self.number(len(alternatives))]

    def yes(self) -> bool:
        return bool(self.number(2))


def programmes(size: int = 250) -> "st.SearchStrategy[Choices]":
    """Some are long: what goes wrong often takes many turns."""
    return st.one_of(st.binary(max_size=size // 5), st.binary(min_size=size // 2, max_size=size)).map(Choices)


Act = Callable[[Choices], None]
