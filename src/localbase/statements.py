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
    """One statement with the comments above it, without its semicolon.

    `start` is the line the text begins at, `line` the one where the comments are over.
    """

    text: str
    start: int
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
    start = 0
    code: int | None = None
    depth = _Depth()
    for kind, begin, end in _tokens(script):
        if kind == "end" and depth.outside:
            if code is not None:
                yield _statement(script, start, code, begin)
            start, code, depth = end, None, _Depth()
        elif kind not in _IGNORED:
            code = begin if code is None else code
            depth.read(kind, script[begin:end])
    if code is not None:
        yield _statement(script, start, code, len(script))


def _statement(script: str, start: int, code: int, end: int) -> Statement:
    text = script[start:end].lstrip()
    begin = end - len(text)
    return Statement(text.rstrip(), _line_of(script, begin), _line_of(script, code))


def _line_of(script: str, position: int) -> int:
    return script.count("\n", 0, position) + 1


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
