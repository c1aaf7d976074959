"""What a forked child does with what its parent had opened: leave it alone, and open its own.

Sockets and native threads do not belong to two processes. Who has some registers here, and is told in the
child, before anything else runs there.
"""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Holds what a forked child must not use."""

    def leave_parent(self) -> object:
        """Be as if nothing had been opened yet. What is returned is never let go of: it is the parent's."""
        ...


class _Forks:
    def __init__(self) -> None:
        self.happened = False
        self._owners: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self._kept: list[object] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after)

    def register(self, owner: Forkable) -> None:
        self._owners.add(owner)

    def _after(self) -> None:
        self.happened = True
        self._kept.extend([owner.leave_parent() for owner in self._owners])


forks = _Forks()
"""Of this process."""
