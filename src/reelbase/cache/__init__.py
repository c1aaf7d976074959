"""Remembering what was read: in memory, and in Redis for several processes. See docs/concepts/cache.md."""

from reelbase.cache.cache import Cache
from reelbase.cache.lifetimes import Lifetimes
from reelbase.cache.stats import CacheStats, LevelStats

__all__ = ["Cache", "CacheStats", "LevelStats", "Lifetimes"]
