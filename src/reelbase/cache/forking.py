"""Staying usable in a forked process, where locks may be held by threads that are not there."""

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something to be put right in a child process."""

    def after_fork(self) -> None: ...


_known: "weakref.WeakSet[Forked]" = weakref.WeakSet()


def survives_fork(thing: Forked) -> None:
    """Have it told in every child process, before anything else happens there."""
    _known.add(thing)


def _tell_all() -> None:
    for thing in _known:
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell_all)
