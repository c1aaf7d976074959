"""The nearest name to a mistyped one, found the way PostgREST's hints find it.

Names become vectors of their grams (of three letters, then of two where that finds nothing); those with the
nearest vectors are compared by edit distance.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable

_GRAM_SIZES = (3, 2)
_CANDIDATES = 50
_NOISE = re.compile(r"[^\w\s,]|_")


def nearest(value: str, names: Iterable[str], min_score: float = 0.33) -> str | None:
    """The best of `names`, None where none reaches the score."""
    known = list(dict.fromkeys(names))
    wanted = value.lower()
    for name in known:
        if name.lower() == wanted:
            return name
    for size in _GRAM_SIZES:
        best = _best(wanted, known, size, min_score)
        if best is not None:
            return best
    return None


def _best(wanted: str, known: list[str], size: int, min_score: float) -> str | None:
    vector = _grams(wanted, size)
    close = sorted(((_cosine(vector, _grams(name.lower(), size)), name) for name in known), reverse=True)
    rated = [(_similarity(wanted, name.lower()), name) for score, name in close[:_CANDIDATES] if score > 0]
    score, name = max(rated, key=lambda pair: pair[0], default=(0.0, None))
    return name if score >= min_score else None


def _grams(text: str, size: int) -> Counter[str]:
    padded = f"-{_NOISE.sub('', text)}-".ljust(size, "-")
    return Counter(padded[at : at + size] for at in range(len(padded) - size + 1))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    dot = sum(count * other[gram] for gram, count in one.items())
    return dot / (_norm(one) * _norm(other))


def _norm(vector: Counter[str]) -> float:
    return math.sqrt(sum(count * count for count in vector.values()))


def _similarity(one: str, other: str) -> float:
    return 1 - _distance(one, other) / max(len(one), len(other), 1)


def _distance(one: str, other: str) -> int:
    """Levenshtein's edit distance."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]
