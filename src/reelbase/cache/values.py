"""Handing out one result many times: nobody can change what the others see."""

from collections.abc import Hashable
from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from sys import getsizeof
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

T = TypeVar("T")

_ATOM, _LIST, _TUPLE, _DICT, _MODEL = range(5)
_KINDS: dict[type, int] = {list: _LIST, tuple: _TUPLE, dict: _DICT} | dict.fromkeys(
    (str, bytes, int, float, bool, type(None), UUID, Decimal, datetime, timedelta, IPv4Address, IPv6Address),
    _ATOM,
)


def fresh(value: T) -> T:
    """The value itself where nothing in it can be changed; else with new lists and objects of JSON."""
    again: T = _fresh(value)
    return again


def _fresh(value: Any) -> Any:
    kind = _kind(type(value))
    if kind == _ATOM:
        return value
    if kind == _MODEL:
        parts_of = value.__dict__
        changed = {
            name: again
            for name in _changeable(cast("Hashable", type(value)))
            if (again := _fresh(parts_of[name])) is not parts_of[name]
        }
        if not changed:
            return value
        copied = copy(value)
        copied.__dict__.update(changed)
        return copied
    if kind == _DICT:
        return {name: _fresh(part) for name, part in value.items()}
    parts = [_fresh(part) for part in value]
    if kind == _LIST:
        return parts
    return value if all(map(_is, parts, value)) else tuple(parts)


def size(value: Any) -> int:
    """About how many bytes of memory a value takes; parts that are shared are counted again."""
    kind = _kind(type(value))
    bytes_ = getsizeof(value)
    if kind == _MODEL:
        return bytes_ + getsizeof(value.__dict__) + sum(map(size, value.__dict__.values()))
    if kind == _DICT:
        return bytes_ + sum(size(name) + size(part) for name, part in value.items())
    if kind != _ATOM:
        return bytes_ + sum(map(size, value))
    return bytes_


@cache
def _changeable(model: Any) -> tuple[str, ...]:
    """Fields that may hold what can be changed; for all others their types say that they do not."""
    return tuple(name for name, field in model.model_fields.items() if not _unchangeable(field.annotation))


def _unchangeable(annotation: Any) -> bool:
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return all(map(_unchangeable, get_args(annotation)))
    if annotation is AwareDatetime or _KINDS.get(annotation) == _ATOM:
        return True
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def _is(one: object, other: object) -> bool:
    return one is other


def _kind(type_: type) -> int:
    kind = _KINDS.get(type_)
    if kind is None:
        kind = _MODEL if issubclass(type_, BaseModel) else _ATOM
        if kind == _MODEL or issubclass(type_, Enum):
            # Not the rest: an unknown type may be made anew all the time.
            _KINDS[type_] = kind
    return kind
