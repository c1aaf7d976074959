"""The Data API, as PostgREST speaks it."""

from localbase.rest.request import RestRequest
from localbase.rest.server import RestServer

__all__ = ["RestRequest", "RestServer"]
