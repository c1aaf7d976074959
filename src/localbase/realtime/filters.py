"""The `filter` text of a postgres_changes binding: conditions on columns, joined by commas."""

from dataclasses import dataclass
from enum import StrEnum

from localbase.realtime.elixir import inspect


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    LIKE = "like"
    ILIKE = "ilike"
    MATCH = "match"
    IMATCH = "imatch"
    IS = "is"
    ISDISTINCT = "isdistinct"


_NAMES = frozenset(operator.value for operator in Operator)


@dataclass(frozen=True, slots=True)
class Condition:
    """`column operator value`, possibly negated; the value of `in` is a Postgres array literal."""

    column: str
    operator: Operator
    value: str
    negated: bool = False

    def as_tuple(self) -> tuple[str, str, str, bool]:
        return self.column, self.operator.value, self.value, self.negated


class FilterError(ValueError):
    """A filter that cannot be parsed; the text is what the client is told."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Error parsing `filter` params: {reason}")


def parse_filter(text: str) -> tuple[Condition, ...]:
    return tuple(_parse_condition(part.strip()) for part in _split(text)) if text else ()


def _split(text: str) -> list[str]:
    """The parts between commas, but for those inside parentheses and, in there, inside quotes."""
    parts, depth, quoted = [""], 0, False
    for char in text:
        if char == "," and depth == 0:
            parts.append("")
            continue
        quoted ^= char == '"' and depth > 0
        if not quoted:
            depth += (char == "(") - (char == ")" and depth > 0)
        parts[-1] += char
    return parts


def _parse_condition(part: str) -> Condition:
    column, equals, rest = part.partition("=")
    if not equals:
        raise FilterError(inspect([part]))
    negated = rest.startswith("not.")
    name, dot, value = rest.removeprefix("not.").partition(".")
    if not dot:
        raise FilterError(inspect([name]))
    if name not in _NAMES:
        raise FilterError(inspect([name, value]))
    operator = Operator(name)
    return Condition(column, operator, _list_literal(value) if operator is Operator.IN else value, negated)


def _list_literal(value: str) -> str:
    if not (value.startswith("(") and value.endswith(")")):
        raise FilterError("`in` filter value must be wrapped by parentheses")
    return f"{{{value[1:-1]}}}"
