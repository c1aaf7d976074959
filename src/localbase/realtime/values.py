"""Values as the log carries them, text in Postgres's own notation, to JSON as Realtime presents them."""

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

# Of Postgres's own numbers; only the text of a column of type json can have a larger one.
_MAX_EXPONENT = 131_072
_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


def to_json(text: str | None, type_name: str, delimiter: str | None = None) -> Any:
    """The JSON form of a value. An array has the type name of its elements and their delimiter."""
    if text is None:
        return None
    if delimiter is not None:
        return _array(text, type_name, delimiter)
    return _CONVERSIONS.get(type_name, str)(text)


def _number(text: str) -> int | float | None:
    if text in _NOT_FINITE:
        return None
    number = Decimal(text)
    exponent = int(number.as_tuple().exponent)
    if exponent > _MAX_EXPONENT:
        raise ValueError(f"{text} has too many digits")
    return float(number) if exponent < 0 else int(number)


def _json(text: str) -> Any:
    # Numbers are those of Postgres, which writes 1e2 as 100.
    return json.loads(text, parse_float=_number)


def _timestamp(text: str) -> str:
    if "infinity" in text:
        return text
    moment, space, era = text.replace(" ", "T", 1).partition(" ")
    return f"{moment.replace('+00', '+00:00')}{space}{era}"


def _array(text: str, type_name: str, delimiter: str) -> Any:
    # A lower bound other than one precedes the braces: [0:1]={…}
    tokens = _tokens(text[text.index("{") + 1 :], delimiter)
    return _elements(tokens, type_name)


def _elements(tokens: Iterator[str | None], type_name: str) -> list[Any]:
    items: list[Any] = []
    for token in tokens:
        if token is _OPEN:
            items.append(_elements(tokens, type_name))
        elif token is _CLOSE:
            break
        else:
            items.append(to_json(token, type_name))
    return items


class _Structure(str):
    """A brace outside of quotes; compared by identity, since an element may be the text of a brace."""

    __slots__ = ()


_OPEN = _Structure("{")
_CLOSE = _Structure("}")


def _tokens(text: str, delimiter: str) -> Iterator[str | None]:
    at = 0
    while at < len(text):
        match text[at]:
            case "{":
                yield _OPEN
            case "}":
                yield _CLOSE
            case '"':
                value, at = _quoted(text, at + 1)
                yield value
                continue
            case char if char != delimiter:
                value, at = _bare(text, at, delimiter)
                yield None if value == "NULL" else value
                continue
        at += 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    chars = []
    while text[at] != '"':
        at += text[at] == "\\"
        chars.append(text[at])
        at += 1
    return "".join(chars), at + 1


def _bare(text: str, start: int, delimiter: str) -> tuple[str, int]:
    end = start
    while text[end] not in (delimiter, "}"):
        end += 1
    return text[start:end], end


_CONVERSIONS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric"), _number),
    "bool": lambda text: text == "t",
    "json": _json,
    "jsonb": _json,
    "timestamp": _timestamp,
    "timestamptz": _timestamp,
    "bytea": lambda text: text.removeprefix("\\x"),
    # Realtime casts the text to the bare type name, and `character` alone means one of them.
    "bpchar": lambda text: text[:1],
    "bit": lambda text: text[:1],
}
