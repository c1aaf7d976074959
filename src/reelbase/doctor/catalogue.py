"""Every operation of the client: its function, its arguments with an example of each, its result.

The examples are values that Postgres can read and no function accepts, or that name nothing: a billion days,
a job of id nil.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel

from reelbase.execution.call import Call
from reelbase.execution.operation import operation
from reelbase.services.table import Services

_EXAMPLES: list[tuple[type, str]] = [
    (UUID, str(UUID(int=0))),
    (bool, "false"),
    (int, "1000000000"),
    (float, "1000000000"),
    (Decimal, "1000000000"),
    (datetime, "2000-01-01T00:00:00Z"),
    (timedelta, "1000000000 seconds"),
    (IPv4Address, "192.0.2.1"),
    (str, "reelbase-doctor"),
]
# An empty object to jsonb, an empty array to an array.
_EMPTY = "{}"


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` is that of the method, `jobs.get`; `arguments` are examples as text, by name."""

    name: str
    function: str
    arguments: Mapping[str, str]
    result: Any


def operations() -> list[Operation]:
    """All operations of a client, in the order of their services."""
    services: Services[Any] = Services(_carry_nothing, _carry_nothing)
    return [
        _operation(f"{service}.{name}", method.build)
        for service, instance in vars(services).items()
        for name, method in vars(type(instance)).items()
        if isinstance(method, operation)
    ]


def _operation(name: str, build: Callable[..., Call[Any]]) -> Operation:
    hints = get_type_hints(build)
    needed = [
        parameter.name
        for parameter in inspect.signature(build).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.name != "self"
    ]
    call = build(None, **{name: _placeholder(hints[name]) for name in needed})
    for hint in list(hints.values()):
        if _is_model(hint):
            # A specification that the method spreads out into arguments.
            hints |= {name: field.annotation for name, field in hint.model_fields.items()}
    arguments = {argument: example(hints.get(argument, str)) for argument in call.arguments}
    return Operation(name, call.function, arguments, call.result)


def _placeholder(hint: Any) -> Any:
    """Something to build a call with; the call is not sent."""
    return hint.model_construct(**dict.fromkeys(hint.model_fields)) if _is_model(hint) else ()


def example(hint: Any) -> str:
    """A value of that type as it stands in a query string."""
    kinds = _kinds(hint)
    if any(get_origin(kind) is Iterable for kind in kinds):
        # Where one may be given for several, several are sent.
        return _EMPTY
    for kind in kinds:
        if get_origin(kind) is Literal:
            return str(get_args(kind)[0])
        if isinstance(kind, type) and issubclass(kind, Enum):
            return str(next(iter(kind)).value)
    return next((text for known, text in _EXAMPLES if known in kinds), _EMPTY)


def _kinds(hint: Any) -> list[Any]:
    """The alternatives of a union, else the type itself."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _kinds(get_args(hint)[0])
    return (
        [kind for arm in get_args(hint) for kind in _kinds(arm)] if origin in {Union, UnionType} else [hint]
    )


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _carry_nothing(call: Any) -> Any:
    raise NotImplementedError(call)
