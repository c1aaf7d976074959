"""Kinds of arguments that several services take, and idempotency keys."""

from collections.abc import Iterable
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar
from uuid import uuid4

from reelbase.models import JobSpec, MetricSpec, StorageOperationSpec, UrlAccessSpec

Number = int | float | Decimal
Address = str | IPv4Address | IPv6Address
KeyedSpec = TypeVar("KeyedSpec", JobSpec, MetricSpec, StorageOperationSpec, UrlAccessSpec)


def key_or_new(idempotency_key: str | None) -> str:
    """The key that was given; else one of the call's own, with which its repeats change nothing more.

    It is made where the call is built: all repeats have it, and an error shows it among the arguments, for
    who wants to repeat the call later.
    """
    return str(uuid4()) if idempotency_key is None else idempotency_key


def each_with_key(items: Iterable[KeyedSpec]) -> tuple[KeyedSpec, ...]:
    """The items, those without an idempotency key with one of their own."""
    return tuple(
        item
        if item.idempotency_key is not None
        else item.model_copy(update={"idempotency_key": str(uuid4())})
        for item in items
    )
