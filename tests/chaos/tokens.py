"""An issuer of access tokens that live for seconds, and that has outages."""

import time
from collections.abc import Callable
from typing import Any

from support import Target

LIFETIME = 4


class Tokens:
    def __init__(self, target: Target) -> None:
        self.refused = False
        self.issued = 0
        self._target = target

    def of(self, **claims: Any) -> Callable[[], str]:
        """A token provider for whom the claims name."""

        def provide() -> str:
            if self.refused:
                raise ConnectionError("the issuer of tokens is away")
            self.issued += 1
            return self._target.token(**claims, exp=int(time.time()) + LIFETIME)

        return provide
