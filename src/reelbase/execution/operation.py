"""From one definition of an operation to its synchronous, asynchronous and batched method.

A service's method builds a Call; `@operation` makes it a method that carries the call, in the way of the
client that the service belongs to. The mode is a type parameter of the service, so type checkers see
`client.jobs.get(id)` as `Job` on `Reelbase`, as an awaitable of `Job` on `AsyncReelbase`, and as a
`Handle[Job]` on a batch.
`@listing` does the same for lists, which come in pages, `@stream` for methods that follow events,
`@consumption` for those that do under a lease; a batch has neither.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from reelbase.execution.call import Call
from reelbase.execution.handle import Handle
from reelbase.execution.paging import AsyncListing, L, paged
from reelbase.realtime.consumer import AsyncConsumer, Consumer
from reelbase.realtime.consumption import Consumption
from reelbase.realtime.stream import AsyncEventStream, EventStream
from reelbase.realtime.watch import Subject


class Sync:
    """Mode of `Reelbase`: methods return results."""


class Async:
    """Mode of `AsyncReelbase`: methods return awaitables."""


class Batched:
    """Mode of a batch: methods return handles of results that are not there yet."""


M = TypeVar("M", Sync, Async, Batched)
P = ParamSpec("P")
T = TypeVar("T")


class Service(Generic[M]):
    """A group of operations. `carry` takes a Call to the database, `follow` opens a stream."""

    def __init__(self, carry: Callable[[Call[Any]], Any], follow: Callable[[Subject], Any]) -> None:
        self._carry = carry
        self._follow = follow


class operation(Generic[P, T]):  # noqa: N801  # used as a decorator, named like one
    """A method that builds a Call, to be carried."""

    def __init__(self, build: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Service[Sync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Service[Async], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, instance: Service[Batched], owner: type) -> Callable[P, Handle[T]]: ...
    def __get__(self, instance: Service[Any] | None, owner: type) -> Any:
        if instance is None:
            return self

        @wraps(self.build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance._carry(self.build(instance, *args, **kwargs))  # noqa: SLF001  # friends

        return method


class listing(operation[P, L]):  # noqa: N801  # used as a decorator, named like one
    """A method that builds a Call for one page of a list; what it returns goes through all of it."""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Service[Sync], owner: type) -> Callable[P, L]: ...
    @overload
    def __get__(self, instance: Service[Async], owner: type) -> Callable[P, AsyncListing[L]]: ...
    @overload
    def __get__(self, instance: Service[Batched], owner: type) -> Callable[P, Handle[L]]: ...
    def __get__(self, instance: Service[Any] | None, owner: type) -> Any:
        if instance is None:
            return self

        @wraps(self.build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return paged(self.build(instance, *args, **kwargs), instance._carry)  # noqa: SLF001  # friends

        return method


class stream(Generic[P]):  # noqa: N801  # used as a decorator, named like one
    """A method that builds a Watch or Tail, to be followed."""

    def __init__(self, build: Callable[Concatenate[Any, P], Subject]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Service[Sync], owner: type) -> Callable[P, EventStream]: ...
    @overload
    def __get__(self, instance: Service[Async], owner: type) -> Callable[P, AsyncEventStream]: ...
    def __get__(self, instance: Service[Any] | None, owner: type) -> Any:
        if instance is None:
            return self

        @wraps(self.build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return instance._follow(self.build(instance, *args, **kwargs))  # noqa: SLF001  # friends

        return method


class consumption(Generic[P]):  # noqa: N801  # used as a decorator, named like one
    """A method that builds a Consumption, to be followed under a lease."""

    def __init__(self, build: Callable[Concatenate[Any, P], Consumption]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Service[Sync], owner: type) -> Callable[P, Consumer]: ...
    @overload
    def __get__(self, instance: Service[Async], owner: type) -> Callable[P, AsyncConsumer]: ...
    def __get__(self, instance: Service[Any] | None, owner: type) -> Any:
        if instance is None:
            return self

        @wraps(self.build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            follow: Callable[[Any], Any] = instance._follow  # noqa: SLF001  # friends
            return follow(self.build(instance, *args, **kwargs))

        return method
