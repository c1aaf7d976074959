"""A request made ready: what to ask the database, and how to answer with what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from localbase.project import ApiConfig
from localbase.rest.catalog import Catalog
from localbase.rest.errors import bad_range, put_with_range
from localbase.rest.preferences import Preferences
from localbase.rest.query import Query
from localbase.rest.ranges import EVERYTHING, NOTHING, Range, from_header
from localbase.rest.request import RestRequest
from localbase.rest.statement import Call
from localbase.rest.transaction import Answer

_NEGATIVE_LIMIT = "Limit should be greater than or equal to zero."
_INVERTED = "The lower boundary must be lower than or equal to the upper boundary in the Range header."


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a table or function, in which schema, with what is known of them."""

    request: RestRequest
    schema: str
    name: str
    query: Query
    preferences: Preferences
    catalog: Catalog
    api: ApiConfig

    @property
    def range(self) -> Range:
        """The rows that are asked for. Raises ApiError where that makes no sense."""
        return _range(self.request, self.query)

    def check_range(self) -> None:
        """Raises ApiError for a range that makes no sense, even where none has an effect."""
        _range(self.request, self.query)


@dataclass(frozen=True, slots=True)
class Operation:
    """`respond` may refuse the answer by an ApiError; then nothing of the operation stays."""

    call: Call
    respond: Callable[[Answer], web.Response]
    read_only: bool
    # Settings of a function, beside those of the request.
    settings: Mapping[str, str] = field(default_factory=dict)


def _range(request: RestRequest, query: Query) -> Range:
    asked = from_header(request.header("Range")) if request.method == "GET" else EVERYTHING
    if query.range == NOTHING:
        return NOTHING
    both = asked.meet(query.range)
    if both.empty:
        raise bad_range(_INVERTED if asked.empty else _NEGATIVE_LIMIT)
    if request.method == "PUT" and both != EVERYTHING:
        raise put_with_range()
    return both
