"""A client's connections to the database, which come to be with the first transaction."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reelbase.errors import ConfigurationError
from reelbase.execution.transport import closed_before

if TYPE_CHECKING:
    # Of the extra `transactions`.
    from reelbase.transactions.source import AsyncTransactions, Transactions


class AsyncDatabase:
    """For asyncio. Clients that share it may speak for different callers."""

    def __init__(self, url: str | None, size: int) -> None:
        self._url = url
        self._size = size
        self._transactions: AsyncTransactions | None = None
        self._forgotten = False

    @property
    def transactions(self) -> "AsyncTransactions":
        """Where transactions begin. Raises ConfigurationError, naming what is missing, and ClientClosed."""
        if self._forgotten:
            raise closed_before()
        if self._transactions is None:
            with _extra():
                from reelbase.transactions.pool import AsyncPool  # noqa: PLC0415
                from reelbase.transactions.source import AsyncTransactions  # noqa: PLC0415
            self._transactions = AsyncTransactions(AsyncPool(self._url, self._size))
        return self._transactions

    async def close(self) -> None:
        if self._transactions is not None:
            await self._transactions.close()

    def forget(self) -> None:
        """Let go of what cannot be closed any more, as its event loop has ended."""
        self._transactions, self._forgotten = None, True


class Database:
    """For synchronous code; see AsyncDatabase."""

    def __init__(self, url: str | None, size: int) -> None:
        self._url = url
        self._size = size
        self._beginning = threading.Lock()
        self._transactions: Transactions | None = None

    @property
    def transactions(self) -> "Transactions":
        """Where transactions begin. Raises ConfigurationError, naming what is missing."""
        with self._beginning:
            if self._transactions is None:
                with _extra():
                    from reelbase.transactions.pool import Pool  # noqa: PLC0415
                    from reelbase.transactions.source import Transactions  # noqa: PLC0415
                self._transactions = Transactions(Pool(self._url, self._size))
            return self._transactions

    def close(self) -> None:
        if self._transactions is not None:
            self._transactions.close()


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            "Transactions need psycopg and its pool: pip install 'reelbase[transactions]'. A batch "
            "(client.batch()) needs neither."
        ) from error
