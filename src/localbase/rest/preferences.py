"""The wishes of a Prefer header, and which of them were met."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from localbase.rest.errors import bad_preferences

_KNOWN = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
}
# In the order in which Preference-Applied lists them; a transaction's end is never left to the client.
_LISTED = ("resolution", "missing", "return", "count", "handling", "timezone", "max-affected")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The first wish of each kind."""

    resolution: str | None = None
    missing: str | None = None
    representation: str | None = None
    count: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None
    unknown: tuple[str, ...] = ()

    @classmethod
    def from_headers(cls, headers: Iterable[str], is_timezone: Callable[[str], bool]) -> Self:
        wishes = [wish.strip() for header in headers for wish in header.split(",")]
        first: dict[str, str] = {}
        unknown = []
        for wish in wishes:
            name, _, value = wish.partition("=")
            if _is_known(name, value, is_timezone):
                first.setdefault(name, value)
            elif name != "max-affected":
                unknown.append(wish)
        return cls(
            first.get("resolution"),
            first.get("missing"),
            first.get("return"),
            first.get("count"),
            first.get("handling"),
            first.get("timezone"),
            int(first["max-affected"]) if "max-affected" in first else None,
            tuple(unknown),
        )

    @property
    def full(self) -> bool:
        return self.representation == "representation"

    @property
    def strict(self) -> bool:
        return self.handling == "strict"

    @property
    def counting(self) -> bool:
        """Whether rows are really counted, not only estimated."""
        return self.count in ("exact", "estimated")

    @property
    def most_affected(self) -> int | None:
        """How many rows may change, where that is enforced."""
        return self.max_affected if self.strict else None

    def check(self) -> None:
        """Raises ApiError when a strict client asks for what is not known."""
        if self.strict and self.unknown:
            raise bad_preferences(self.unknown)

    def applied(self, *met: str) -> list[tuple[str, str]]:
        """The header that names the wishes that were met, of these kinds."""
        values = {
            "resolution": self.resolution,
            "missing": self.missing,
            "return": self.representation,
            "count": self.count,
            "handling": self.handling,
            "timezone": self.timezone,
            "max-affected": self.most_affected,
        }
        said = [f"{kind}={values[kind]}" for kind in _LISTED if kind in met and values[kind] is not None]
        return [("Preference-Applied", ", ".join(said))] if said else []


def timezone_wish(headers: Sequence[str]) -> bool:
    """Whether a timezone is asked for at all."""
    return any("timezone=" in header for header in headers)


def _is_known(name: str, value: str, is_timezone: Callable[[str], bool]) -> bool:
    if name == "timezone":
        return is_timezone(value)
    if name == "max-affected":
        return value.removeprefix("-").isdecimal()
    return value in _KNOWN.get(name, ())
