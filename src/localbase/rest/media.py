"""Media types: what a client accepts, and in which of them it is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from localbase.rest.errors import no_media_type

JSON = "application/json"
CSV = "text/csv"
_GEOJSON = "application/geo+json"
_OBJECT = "application/vnd.pgrst.object"
_ARRAY = "application/vnd.pgrst.array"
_PLAN = "application/vnd.pgrst.plan"
_STRIPPED = "nulls=stripped"
_PLAN_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")
# Types that are answered with a character set, like all that are text.
_TEXTUAL = (JSON, CSV, _GEOJSON, "text/plain", "text/xml", "application/openapi+json")


class Shape(Enum):
    """How the body is made of the rows."""

    ARRAY = "array"
    OBJECT = "object"
    CSV = "csv"
    GEOJSON = "geojson"
    # A function's result as it is, in the media type that its own type names.
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Media:
    """What the answer is in; `stripped` leaves out what is null."""

    type: str
    shape: Shape
    stripped: bool = False

    @property
    def content_type(self) -> str:
        textual = self.type in _TEXTUAL or self.type.startswith("application/vnd.pgrst.")
        return f"{self.type}; charset=utf-8" if textual else self.type

    @property
    def single(self) -> bool:
        return self.shape is Shape.OBJECT


PLAIN_JSON = Media(JSON, Shape.ARRAY)
_BUILT_IN = {
    "*/*": PLAIN_JSON,
    JSON: PLAIN_JSON,
    CSV: Media(CSV, Shape.CSV),
    _GEOJSON: Media(_GEOJSON, Shape.GEOJSON),
}


def negotiate(accept: str, own: str | None = None) -> Media:
    """The first type that can be given, `own` being that of a function's result. Raises ApiError."""
    asked = _by_preference(accept) or [JSON]
    for wanted in asked:
        found = _media(wanted, own)
        if found is not None:
            return found
    raise no_media_type([_canonical(wanted) for wanted in asked])


def _media(wanted: str, own: str | None) -> Media | None:
    name, *parameters = wanted.split(";")
    stripped = parameters == [_STRIPPED]
    if name in (_OBJECT, _OBJECT + "+json"):
        return Media(f"{_OBJECT}+json{';' + _STRIPPED if stripped else ''}", Shape.OBJECT, stripped)
    if name in (_ARRAY, _ARRAY + "+json"):
        return Media(f"{_ARRAY}+json;{_STRIPPED}", Shape.ARRAY, stripped) if stripped else PLAIN_JSON
    if own in (name, "*/*"):
        return Media(name, Shape.PLAIN)
    return _BUILT_IN.get(name)


def _by_preference(accept: str) -> list[str]:
    """By their quality, then by how much each says."""
    asked = [part for part in accept.replace(" ", "").split(",") if part]
    weighed = []
    for part in asked:
        name, _, quality = part.partition(";q=")
        weighed.append((_number(quality.partition(";")[0]), name.count(";") - name.count("*"), name))
    return [name for *_, name in sorted(weighed, key=lambda one: one[:2], reverse=True)]


def _number(quality: str) -> float:
    try:
        return float(quality)
    except ValueError:
        return 1.0


def _canonical(wanted: str) -> str:
    name, *parameters = wanted.split(";")
    if name.startswith(_PLAN):
        return _plan(name, parameters)
    return name


def _plan(name: str, parameters: Sequence[str]) -> str:
    """Plans of queries are not given out; the refusal spells their type in full."""
    split = (parameter.partition("=") for parameter in parameters)
    given = {key: value for key, _, value in split}
    form = "json" if name.endswith("+json") else "text"
    of = _canonical(given.get("for", "").strip('"') or JSON)
    options = [option for option in _PLAN_OPTIONS if option in given.get("options", "").split("|")]
    listed = f"; options={'|'.join(options)}" if options else ""
    return f'{_PLAN}+{form}; for="{of}"{listed}'
