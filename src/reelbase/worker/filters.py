"""ffmpeg's filter graph as data, and its notation."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

Value = str | int | Fraction

# Once for the filter's own option list, once for the graph around it.
_OPTION_SPECIAL = re.compile(r"([\\':])")
_GRAPH_SPECIAL = re.compile(r"([\\'\[\],;])")


@dataclass(frozen=True, slots=True)
class Filter:
    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}={':'.join(f'{name}={_escaped(value)}' for name, value in self.options)}"


@dataclass(frozen=True, slots=True)
class Chain:
    """Filters in a row, from the named inputs to the named outputs."""

    inputs: tuple[str, ...]
    filters: tuple[Filter, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_labels(self.inputs)}{','.join(map(str, self.filters))}{_labels(self.outputs)}"


def filter_(name: str, **options: Value) -> Filter:
    return Filter(name, tuple((key, _value(value)) for key, value in options.items()))


def rendered(chains: Iterable[Chain]) -> str:
    return ";".join(map(str, chains))


def decimal(value: Fraction) -> str:
    """Exact to a nanosecond, never in the exponent notation that some options refuse."""
    return f"{float(value):.9f}".rstrip("0").rstrip(".")


def _labels(names: Iterable[str]) -> str:
    return "".join(f"[{name}]" for name in names)


def _value(value: Value) -> str:
    return decimal(value) if isinstance(value, Fraction) else str(value)


def _escaped(value: str) -> str:
    return _GRAPH_SPECIAL.sub(r"\\\1", _OPTION_SPECIAL.sub(r"\\\1", value))
