"""Handles: results of a batch that are not there yet, and references to parts of them."""

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, cast

T = TypeVar("T")

_UNKNOWN = "A result of a batch is known only after the batch has run; until then refer to its parts."


class Reference:
    """A part of a result that is not there yet: an argument for a later call of the same batch.

    Items and attributes of it are references too, `job["id"]`, `made.job.id`, `elements[-1].id`. Nothing else
    can be done with it: there is no value yet to look at, to compare, to iterate or to print.
    """

    __slots__ = ("_batch", "_path")

    def __init__(self, batch: object, path: str) -> None:
        self._batch = batch
        self._path = path

    def __getitem__(self, name: str | int) -> "Reference":
        part = str(name)
        if not part or "." in part:
            raise KeyError(f"A reference cannot name {part!r}: it is empty or has a dot.")
        return Reference(self._batch, f"{self._path}.{part}")

    def __getattr__(self, name: str) -> "Reference":
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __repr__(self) -> str:
        return f"<Reference {self._path}>"

    def __bool__(self) -> NoReturn:
        raise TypeError(_UNKNOWN)

    # Without it, Python would iterate by index and never come to an end.
    def __iter__(self) -> NoReturn:
        raise TypeError(_UNKNOWN)

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError(_UNKNOWN)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(_UNKNOWN)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(_UNKNOWN)


class Handle(Generic[T]):
    """The result of one call of a batch: to be referred to before the batch has run, to be had after.

    As an argument of a later call in the same batch, `job["id"]` stands for that part of the result; a
    handle itself for the whole. `ref` does the same with the result's type, so that a type checker knows
    `job.ref.id`.
    """

    __slots__ = ("_reference", "_result")

    def __init__(self, reference: Reference, result: Callable[[], T]) -> None:
        self._reference = reference
        self._result = result

    def result(self) -> T:
        """What the call returned. Raises TransactionFailed (`not_run`) before the batch has run, or when it
        failed."""
        return self._result()

    @property
    def ref(self) -> T:
        """The result to come, for its attributes and items to be given to later calls of the same batch."""
        return cast("T", self._reference)

    def __getitem__(self, name: str | int) -> Any:
        return self._reference[name]

    # Else Python would iterate by index and never come to an end.
    __iter__ = None

    def __repr__(self) -> str:
        return f"<Handle {self._reference!r}>"
