"""The one address of a stack: checks API keys and hands requests to the services behind it."""

import logging
import time
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from localbase.auth import AuthRequest, AuthServer
from localbase.keys import Keys
from localbase.ports import HOST, port_error
from localbase.postgres import DatabaseAddress
from localbase.project import ApiConfig, AuthConfig
from localbase.realtime import RealtimeServer
from localbase.rest import RestRequest, RestServer
from localbase.tokens import InvalidTokenError

_AUTH = "/auth/v1"
_REST = "/rest/v1"
_REALTIME = "/realtime/v1"
_MAX_BODY = 10 * 1024 * 1024
_SHUTDOWN_S = 2.0
_OPAQUE = "Bearer sb_"
_LOG = logging.getLogger(__name__)


class Gateway:
    """Serves one database. Several of them may run in one event loop."""

    def __init__(
        self,
        database: DatabaseAddress,
        keys: Keys,
        *,
        api: ApiConfig | None = None,
        auth: AuthConfig | None = None,
        host: str = HOST,
        port: int = 0,
    ) -> None:
        self._keys = keys
        self._host = host
        self._port = port
        self._rest = RestServer(database, keys.jwt_secret, api or ApiConfig())
        self._auth = AuthServer(database, keys.jwt_secret, auth or AuthConfig(), lambda: f"{self.url}{_AUTH}")
        self._realtime = RealtimeServer(database.dsn(), keys)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Returns when requests are answered. Raises LocalbaseError when the port is taken."""
        try:
            await self._rest.start()
            await self._auth.start()
            await self._realtime.start()
            await self._listen()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what is being answered, then stop."""
        await self._realtime.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._auth.stop()
        await self._rest.stop()

    async def _listen(self) -> None:
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            raise port_error(self._port, error) from error
        self._port = self._runner.addresses[0][1]

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_MAX_BODY, middlewares=[_log, _answer_always, _cors])
        router, realtime = application.router, self._realtime
        router.add_get("/health", _health)
        router.add_route("*", f"{_REST}/{{path:.*}}", self._to_rest)
        router.add_route("*", f"{_AUTH}/{{path:.*}}", self._to_auth)
        router.add_get(f"{_REALTIME}/websocket", realtime.handle)
        router.add_post(f"{_REALTIME}/api/broadcast", realtime.handle_broadcast)
        router.add_post(f"{_REALTIME}/api/broadcast/{{topic}}/events/{{event}}", realtime.handle_broadcast)
        router.add_route("*", f"{_REALTIME}/{{path:.*}}", _unknown_to_realtime)
        return application

    async def _to_rest(self, request: web.Request) -> web.StreamResponse:
        apikey = _apikey(request)
        if refusal := self._refusal(apikey):
            return refusal
        return await self._rest.handle(
            RestRequest(
                method=request.method,
                path=request.path.removeprefix(_REST),
                query=request.rel_url.raw_query_string,
                headers=self._forwarded_headers(request, apikey),
                cookies=request.cookies,
                body=await request.read(),
            )
        )

    async def _to_auth(self, request: web.Request) -> web.StreamResponse:
        apikey, path = _apikey(request), request.path.removeprefix(_AUTH)
        if path not in AuthServer.OPEN_PATHS and (refusal := self._refusal(apikey)):
            return refusal
        return await self._auth.handle(
            AuthRequest(
                method=request.method,
                path=path,
                query=request.query,
                headers=self._forwarded_headers(request, apikey),
                body=await request.read(),
                remote=request.remote,
            )
        )

    def _refusal(self, apikey: str) -> web.Response | None:
        if not apikey:
            return _refused(
                "No API key found in request", "No `apikey` request header or url param was found."
            )
        if not self._is_known(apikey):
            return _refused("Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
        return None

    def _is_known(self, apikey: str) -> bool:
        try:
            self._keys.claims(apikey)
        except InvalidTokenError:
            return False
        return True

    def _forwarded_headers(self, request: web.Request, apikey: str) -> CIMultiDict[str]:
        headers = CIMultiDict(request.headers)
        sent = headers.get("Authorization", "")
        if not sent or (sent.startswith(_OPAQUE) and sent == f"Bearer {apikey}"):
            headers["Authorization"] = f"Bearer {self._keys.as_token(apikey)}"
        # What the client wrote stays; what this server knows for sure comes last.
        hops = [*headers.popall("X-Forwarded-For", ()), request.remote or "unknown"]
        headers["X-Forwarded-For"] = ", ".join(hops)
        return headers


def _apikey(request: web.Request) -> str:
    return request.headers.get("apikey") or request.query.get("apikey") or ""


async def _unknown_to_realtime(_request: web.Request) -> web.Response:
    """Realtime answers in words of its own, not the gateway's."""
    return web.Response(status=404, text="Not Found")


def _refused(message: str, hint: str) -> web.Response:
    return web.json_response({"message": message, "hint": hint}, status=401)


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@web.middleware
async def _log(request: web.Request, handler: Handler) -> web.StreamResponse:
    begin, request_id = time.perf_counter(), uuid.uuid4().hex[:12]
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    # Neither query nor headers: they may hold keys and personal data.
    elapsed_ms = (time.perf_counter() - begin) * 1000
    _LOG.info("%s %s %d %.1f ms %s", request.method, request.path, response.status, elapsed_ms, request_id)
    return response


@web.middleware
async def _answer_always(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever happens, a client gets JSON and the log says why."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return web.json_response({"message": "Request size limit exceeded"}, status=413)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return web.json_response({"message": "no Route matched with those values"}, status=404)
    except web.HTTPException as error:
        return web.json_response({"message": error.reason}, status=error.status)
    except Exception:  # noqa: BLE001  the last resort: logged, and answered
        _LOG.exception("%s %s failed", request.method, request.path)
        return web.json_response({"message": "An unexpected error occurred"}, status=500)


@web.middleware
async def _cors(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response: web.StreamResponse = _preflight(request)
    else:
        response = await handler(request)
    if not response.prepared:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _preflight(request: web.Request) -> web.Response:
    return web.Response(
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "*"),
            "Access-Control-Max-Age": "3600",
        },
    )
