"""Pages of a list: which one is asked for, and the headers that lead to the others."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from localbase.auth.errors import AuthError, invalid_request

_DEFAULT_SIZE = 50
# Go reads 64 bits; Postgres skips no more than 63.
_LARGEST = 2**64 - 1
_FARTHEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """Pages count from 1."""

    number: int
    size: int

    @property
    def limit(self) -> int:
        return min(self.size, _FARTHEST)

    @property
    def offset(self) -> int:
        return min(max(self.number - 1, 0) * self.size, _FARTHEST)

    def headers(self, path: str, query: Mapping[str, str], total: int) -> dict[str, str]:
        last = math.ceil(total / self.size)
        links = {"next": self.number + 1} if last > self.number else {}
        links["last"] = last
        return {
            "Link": ", ".join(f'<{_url(path, query, page)}>; rel="{name}"' for name, page in links.items()),
            "X-Total-Count": str(total),
        }


def read_page(query: Mapping[str, str]) -> Page:
    """Raises AuthError."""
    page = Page(_number(query.get("page", ""), 1), _number(query.get("per_page", ""), _DEFAULT_SIZE))
    if page.size == 0:
        raise _bad_parameters("per_page must be greater than 0")
    return page


def _number(text: str, default: int) -> int:
    if not text:
        return default
    # Too many digits are too large a number, and Python would not read them at all.
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise _bad_parameters(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def _bad_parameters(reason: str) -> AuthError:
    return invalid_request(f"Bad Pagination Parameters: {reason}")


def _url(path: str, query: Mapping[str, str], page: int) -> str:
    # A key that came as a parameter does not go back.
    kept = {name: value for name, value in query.items() if name != "apikey"}
    return f"{path}?{urlencode(sorted({**kept, 'page': str(page)}.items()))}"
