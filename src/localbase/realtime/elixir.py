"""Values written as Elixir's `inspect` writes them: the error texts of Realtime quote parameters that way."""

import json
from typing import Any

# `inspect` starts a new line within a collection that would be longer than this.
_WIDTH = 80


def inspect(value: Any) -> str:
    match value:
        case None:
            text = "nil"
        case list():
            text = f"[{', '.join(map(inspect, value))}]"
        case tuple():
            text = f"{{{', '.join(map(inspect, value))}}}"
        case dict():
            pairs = (f"{inspect(key)} => {inspect(value[key])}" for key in sorted(value))
            text = f"%{{{', '.join(pairs)}}}"
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return text


def inspect_tuples(tuples: list[tuple[Any, ...]]) -> str:
    """A list of flat tuples, broken over lines where it is wide."""
    flat = inspect(tuples)
    if len(flat) <= _WIDTH:
        return flat
    return "[\n  {}\n]".format(",\n  ".join(map(_inspect_tuple, tuples)))


def _inspect_tuple(items: tuple[Any, ...]) -> str:
    flat = inspect(items)
    if len(flat) <= _WIDTH - 2:
        return flat
    lines: list[str] = []
    for text in map(inspect, items):
        if lines and len(lines[-1]) + len(text) + 2 <= _WIDTH - 4:
            lines[-1] += f", {text}"
        else:
            lines.append(text)
    return "{{{}}}".format(",\n   ".join(lines))
