"""The Auth service: serves /auth/v1 on a database."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web
from psycopg_pool import AsyncConnectionPool

from localbase.auth import about, account, admin
from localbase.auth.errors import VERSION_HEADER, AuthError, database_errors, error_response, not_here
from localbase.auth.grants import grant
from localbase.auth.request import AuthRequest
from localbase.auth.service import Pool, Service
from localbase.auth.signup import sign_up
from localbase.postgres import DatabaseAddress
from localbase.project import AuthConfig

_ROLE = "supabase_auth_admin"
_POOL_SIZE = 8
_POOL_TIMEOUT_S = 10.0
_USERS = "/admin/users"
# What scripts in a browser may read: pages of lists, and how to read an error.
_EXPOSED = f"X-Total-Count, Link, {VERSION_HEADER}"

Handler = Callable[[Service, AuthRequest], Awaitable[web.Response]]
UserHandler = Callable[[Service, AuthRequest, str], Awaitable[web.Response]]

_HANDLERS: dict[tuple[str, str], Handler] = {
    ("POST", "/signup"): sign_up,
    ("POST", "/token"): grant,
    ("GET", "/user"): account.show,
    ("PUT", "/user"): account.update,
    ("POST", "/logout"): account.sign_out,
    ("GET", _USERS): admin.list_users,
    ("POST", _USERS): admin.create_user,
    ("GET", "/settings"): about.settings,
    ("GET", "/health"): about.health,
    ("GET", "/.well-known/jwks.json"): about.signing_keys,
}
_USER_HANDLERS: dict[str, UserHandler] = {
    "GET": admin.show_user,
    "PUT": admin.update_user,
    "DELETE": admin.delete_user,
}
# What needs a mail server, other providers or second factors.
_ELSEWHERE = frozenset(
    (
        *("otp", "magiclink", "recover", "resend", "verify", "invite", "reauthenticate", "sso", "saml"),
        *("authorize", "callback", "factors", "oauth", "user", "admin"),
    )
)


class AuthServer:
    """Connects as the owner of the tables, like the real service: triggers on them run with its rights."""

    # Whoever checks a token needs no key for this.
    OPEN_PATHS = frozenset({"/.well-known/jwks.json"})

    def __init__(
        self, database: DatabaseAddress, jwt_secret: str, config: AuthConfig, issuer: Callable[[], str]
    ) -> None:
        # Connections are opened when somebody asks: many stacks never see a sign-in.
        self._pool: Pool = AsyncConnectionPool(
            database.dsn(_ROLE),
            min_size=0,
            max_size=_POOL_SIZE,
            open=False,
            timeout=_POOL_TIMEOUT_S,
            check=AsyncConnectionPool.check_connection,
            kwargs={"application_name": "localbase-auth"},
        )
        self._service = Service(self._pool, config, issuer, jwt_secret)

    async def start(self) -> None:
        await self._pool.open()

    async def stop(self) -> None:
        await self._pool.close()

    async def handle(self, request: AuthRequest) -> web.Response:
        response = await self._answer(request)
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    async def _answer(self, request: AuthRequest) -> web.Response:
        try:
            with database_errors("Database error"):
                return await _handler(request)(self._service, request)
        except AuthError as error:
            return error_response(error, request.headers)


def _handler(request: AuthRequest) -> Handler:
    if handler := _HANDLERS.get((request.method, request.path)):
        return handler
    folder, _, name = request.path.rpartition("/")
    if folder == _USERS and name and (user_handler := _USER_HANDLERS.get(request.method)):
        return partial(_for_user, user_handler, name)
    return _missing


async def _for_user(
    handler: UserHandler, user_id: str, service: Service, request: AuthRequest
) -> web.Response:
    return await handler(service, request, user_id)


async def _missing(_service: Service, request: AuthRequest) -> web.Response:
    first = request.path.split("/")[1] if request.path else ""
    if first in _ELSEWHERE:
        raise not_here(f"{request.method} {request.path}")
    return web.Response(status=404, text="404 page not found\n")
