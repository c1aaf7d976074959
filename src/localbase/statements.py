"""Splits an SQL script into its statements, with the line each one begins at.

Knows what may hold a semicolon that ends nothing: quotes, dollar quotes, comments, parentheses (rules) and
the bodies of `begin atomic … end`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<escaped>(?<!\w)[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<string>'[^']*(?:'|\Z))
    | (?P<identifier>"[^"]*(?:"|\Z))
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<end>;)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_IGNORED = frozenset({"comment", "block", "space"})


@dataclass(frozen=True, slots=True)
class Statement:
    """The text of one statement without its semicolon, and where it begins in the script."""

    text: str
    line: int


def split_statements(script: str) -> list[Statement]:
    return list(_statements(script))


@dataclass(slots=True)
class _Depth:
    """How deep inside constructs that swallow semicolons the reader is."""

    parentheses: int = 0
    atomic: int = 0
    last_word: str = ""

    def read(self, kind: str, text: str) -> None:
        if kind == "open":
            self.parentheses += 1
        elif kind == "close":
            self.parentheses = max(0, self.parentheses - 1)
        elif kind == "word":
            self._read_word(text.lower())

    def _read_word(self, word: str) -> None:
        if self.last_word == "begin" and word == "atomic":
            self.atomic = 1
        elif self.atomic and word == "case":
            self.atomic += 1
        elif self.atomic and word == "end":
            self.atomic -= 1
        self.last_word = word

    @property
    def outside(self) -> bool:
        return self.parentheses == 0 and self.atomic == 0


def _statements(script: str) -> Iterator[Statement]:
    begin: int | None = None
    end = 0
    depth = _Depth()
    for kind, start, stop in _tokens(script):
        if kind == "end" and depth.outside:
            if begin is not None:
                yield _statement(script, begin, end)
            begin, depth = None, _Depth()
        elif kind not in _IGNORED:
            begin = start if begin is None else begin
            end = stop
            depth.read(kind, script[start:stop])
    if begin is not None:
        yield _statement(script, begin, end)


def _statement(script: str, begin: int, end: int) -> Statement:
    return Statement(script[begin:end], script.count("\n", 0, begin) + 1)


def _tokens(script: str) -> Iterator[tuple[str, int, int]]:
    position = 0
    while (found := _TOKEN.match(script, position)) is not None:
        kind = found.lastgroup or "other"
        position = _block_end(script, found.end()) if kind == "block" else found.end()
        yield kind, found.start(), position


def _block_end(script: str, position: int) -> int:
    """Where a block comment ends; they nest."""
    depth = 1
    while depth and (edge := _BLOCK_EDGE.search(script, position)) is not None:
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return len(script) if depth else position
