"""The Data API: serves /rest/v1 on a database."""

import asyncio
from collections.abc import Sequence

import psycopg
from aiohttp import web
from psycopg_pool import AsyncConnectionPool

from localbase.postgres import DatabaseAddress
from localbase.project import ApiConfig
from localbase.rest.arguments import Arguments, from_body, from_query, refuse_modifiers
from localbase.rest.call import compose_call
from localbase.rest.context import request_context
from localbase.rest.errors import (
    ApiError,
    bad_path,
    from_database,
    from_token,
    hidden_schema,
    no_table,
    not_implemented,
    unknown_method,
    wrong_rpc_method,
)
from localbase.rest.fuzzy import nearest
from localbase.rest.matching import find_routine
from localbase.rest.request import METHODS, RestRequest
from localbase.rest.response import call_response, error_response, negotiate
from localbase.rest.transaction import Pool, run_call
from localbase.rest.watcher import CatalogWatcher
from localbase.tokens import Claims, InvalidTokenError, verify

_POOL_SIZE = 16
_POOL_TIMEOUT_S = 10.0


class RestServer:
    """Connects as authenticator and becomes the role of each request's token."""

    def __init__(self, database: DatabaseAddress, jwt_secret: str, api: ApiConfig) -> None:
        self._secret = jwt_secret
        self._api = api
        self._pool: Pool = AsyncConnectionPool(
            database.dsn("authenticator"),
            min_size=1,
            max_size=_POOL_SIZE,
            open=False,
            timeout=_POOL_TIMEOUT_S,
            kwargs={"autocommit": True, "application_name": "localbase-rest"},
        )
        self._watcher = CatalogWatcher(database, api.schemas, self._pool.check)

    async def start(self) -> None:
        await asyncio.gather(self._watcher.start(), self._pool.open(wait=True))

    async def stop(self) -> None:
        await self._watcher.stop()
        await self._pool.close()

    async def handle(self, request: RestRequest) -> web.Response:
        try:
            token = request.token()
            claims = {} if token is None else verify(token, self._secret)
            return await self._dispatch(request, claims)
        except InvalidTokenError as error:
            return error_response(from_token(error))
        except ApiError as error:
            return error_response(error)

    async def _dispatch(self, request: RestRequest, claims: Claims) -> web.Response:
        if request.method not in METHODS:
            raise unknown_method(request.method)
        match request.path.removeprefix("/").split("/"):
            case ["rpc", name] if name:
                return await self._call(request, name, claims)
            case [name] if name and name != "rpc":
                raise self._no_table(request, name)
        raise bad_path()

    async def _call(self, request: RestRequest, name: str, claims: Claims) -> web.Response:
        if not request.reading and request.method != "POST":
            raise wrong_rpc_method(request.method)
        schema, catalog = self._schema(request), self._watcher.catalog
        arguments = _arguments(request)
        media_type = negotiate(request.header("Accept"))
        routine = find_routine(catalog, schema, name, arguments)
        search_path = tuple(dict.fromkeys((schema, *self._api.extra_search_path)))
        context = request_context(request, claims, catalog, search_path)
        try:
            return await run_call(
                self._pool,
                compose_call(routine, arguments, self._api.max_rows),
                {**context.settings, **routine.settings},
                lambda answer: call_response(routine, answer, media_type),
                read_only=request.reading or not routine.volatile,
            )
        except psycopg.Error as error:
            raise from_database(error, anonymous=context.anonymous) from error

    def _schema(self, request: RestRequest) -> str:
        """The schema a profile header asks for, by default the first exposed one."""
        header = "Accept-Profile" if request.reading else "Content-Profile"
        exposed: Sequence[str] = self._api.schemas
        schema = request.header(header, exposed[0])
        if schema not in exposed:
            raise hidden_schema(schema, exposed)
        return schema

    def _no_table(self, request: RestRequest, name: str) -> ApiError:
        catalog, schema = self._watcher.catalog, self._schema(request)
        if (schema, name) in catalog.relations:
            return not_implemented("Tables and views are not served yet")
        meant = nearest(name, catalog.relation_names(schema))
        return no_table(schema, name, meant and f"Perhaps you meant the table '{schema}.{meant}'")


def _arguments(request: RestRequest) -> Arguments:
    if request.reading:
        return from_query(request.query)
    refuse_modifiers(request.query)
    return from_body(request.header("Content-Type"), request.body)
