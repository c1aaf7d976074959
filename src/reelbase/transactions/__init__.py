"""Transactions over a connection to the database. Needs the extra `transactions`."""

from reelbase.transactions.identity import Identity
from reelbase.transactions.options import Isolation
from reelbase.transactions.pool import PoolStats
from reelbase.transactions.transaction import AsyncTransaction, Transaction

__all__ = ["AsyncTransaction", "Identity", "Isolation", "PoolStats", "Transaction"]
