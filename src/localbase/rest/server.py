"""The Data API: serves /rest/v1 on a database."""

import asyncio
from collections.abc import Sequence

import psycopg
from aiohttp import web
from psycopg_pool import AsyncConnectionPool

from localbase.postgres import DatabaseAddress
from localbase.project import ApiConfig
from localbase.rest.calling import call_routine, describe_routine
from localbase.rest.context import request_context
from localbase.rest.errors import (
    ApiError,
    bad_path,
    from_database,
    from_token,
    hidden_schema,
    no_connection,
    unknown_method,
    wrong_rpc_method,
)
from localbase.rest.operation import Demand, Operation
from localbase.rest.preferences import Preferences, timezone_wish
from localbase.rest.querystring import read_query
from localbase.rest.reading import known_table, read_table
from localbase.rest.request import METHODS, WRITING, RestRequest
from localbase.rest.response import allowed_response, error_response
from localbase.rest.tables import allowed_methods
from localbase.rest.transaction import Pool, run_call
from localbase.rest.watcher import CatalogWatcher
from localbase.rest.writing import write_table
from localbase.tokens import Claims, InvalidTokenError, verify

_POOL_SIZE = 16
_POOL_TIMEOUT_S = 10.0
_EXPOSED = (
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server,"
    " Transfer-Encoding, Range-Unit"
)


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
        self._timezones: frozenset[str] | None = None
        self._watcher = CatalogWatcher(database, api.schemas, self._pool.check)

    async def start(self) -> None:
        await asyncio.gather(self._watcher.start(), self._pool.open(wait=True))

    async def stop(self) -> None:
        await self._watcher.stop()
        await self._pool.close()

    async def handle(self, request: RestRequest) -> web.Response:
        response = await self._answer(request)
        # Without this, a browser hides them from the page: the count of rows, above all.
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    async def _answer(self, request: RestRequest) -> web.Response:
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
                return await self._routine(await self._demand(request, name, routine=True), claims)
            case [name] if name and name != "rpc":
                return await self._table(await self._demand(request, name, routine=False), claims)
            case [""] if request.method == "OPTIONS":
                return allowed_response("OPTIONS,GET,HEAD")
        raise bad_path()

    async def _routine(self, demand: Demand, claims: Claims) -> web.Response:
        match demand.request.method:
            case "OPTIONS":
                return allowed_response(describe_routine(demand))
            case "GET" | "HEAD" | "POST":
                return await self._run(demand, call_routine(demand), claims)
        raise wrong_rpc_method(demand.request.method)

    async def _table(self, demand: Demand, claims: Claims) -> web.Response:
        match demand.request.method:
            case "OPTIONS":
                return allowed_response(allowed_methods(known_table(demand)))
            case "GET" | "HEAD":
                return await self._run(demand, read_table(demand), claims)
        return await self._run(demand, write_table(demand), claims)

    async def _demand(self, request: RestRequest, name: str, *, routine: bool) -> Demand:
        schema = self._schema(request)
        query = read_query(request.query, arguments_too=routine and request.method != "POST")
        wishes = request.headers.getall("Prefer", ())
        timezones = await self._known_timezones() if timezone_wish(wishes) else ()
        preferences = Preferences.from_headers(wishes, timezones.__contains__)
        return Demand(request, schema, name, query, preferences, self._watcher.catalog, self._api)

    async def _run(self, demand: Demand, operation: Operation, claims: Claims) -> web.Response:
        search_path = tuple(dict.fromkeys((demand.schema, *self._api.extra_search_path)))
        context = request_context(demand.request, claims, demand.catalog, search_path)
        timezone = demand.preferences.timezone
        try:
            response = await run_call(
                self._pool,
                operation.call,
                {**context.settings, **({"timezone": timezone} if timezone else {}), **operation.settings},
                operation.respond,
                read_only=operation.read_only,
            )
        except psycopg.Error as error:
            raise from_database(error, anonymous=context.anonymous) from error
        if len(self._api.schemas) > 1 and _profile_header(demand.request) in demand.request.headers:
            response.headers["Content-Profile"] = demand.schema
        return response

    async def _known_timezones(self) -> frozenset[str]:
        """Read when somebody first asks for one."""
        if self._timezones is None:
            try:
                async with self._pool.connection() as connection:
                    cursor = await connection.execute("select name from pg_catalog.pg_timezone_names")
                    self._timezones = frozenset(name for (name,) in await cursor.fetchall())
            except psycopg.OperationalError as error:
                raise no_connection() from error
        return self._timezones

    def _schema(self, request: RestRequest) -> str:
        """The schema a profile header asks for, by default the first exposed one."""
        exposed: Sequence[str] = self._api.schemas
        schema = request.header(_profile_header(request), exposed[0])
        if schema not in exposed:
            raise hidden_schema(schema, exposed)
        return schema


def _profile_header(request: RestRequest) -> str:
    return "Content-Profile" if request.method in WRITING else "Accept-Profile"
