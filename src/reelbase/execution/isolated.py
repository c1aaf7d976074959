"""The plain supabase-py client that stands beside ours, without its way of changing whom it speaks for.

supabase-py replaces a client's Authorization when somebody signs in through it: a backend that checks a
password with its service key would go on as that user. Here, signing in returns the session and changes
the client only where it spoke for nobody, with a publishable key alone.
"""

from typing import Any

import httpx
import supabase
from supabase import AsyncClientOptions, ClientOptions
from supabase_auth.types import AuthChangeEvent, Session

from reelbase.execution.identity import Identity

# Nobody's session is kept or refreshed here: a client that signs in is a short-lived one.
_OPTIONS: dict[str, Any] = {
    "auto_refresh_token": False,
    "persist_session": False,
    "postgrest_client_retry": False,
}


class IsolatedClient(supabase.Client):
    """Speaks for an identity, for ever. All its parts share one pool of connections."""

    def __init__(self, url: str, identity: Identity, timeout: float) -> None:
        self._identity = identity
        self._may_sign_in = identity.speaks_for_key and identity.role == "anon"
        self._token = identity.token
        self.http = httpx.Client(timeout=timeout, http2=True)
        options = ClientOptions(httpx_client=self.http, headers=_headers(identity.token), **_OPTIONS)
        super().__init__(url, identity.key, options)

    def renew(self) -> None:
        """Go on with the identity's present token."""
        if self._token != self._identity.token:
            self._token = self._identity.token
            self.options.headers.update(_headers(self._token))
            self._postgrest = self._storage = self._functions = None

    def _listen_to_auth_events(self, event: AuthChangeEvent, session: Session | None) -> None:
        if self._may_sign_in:
            super()._listen_to_auth_events(event, session)


class AsyncIsolatedClient(supabase.AsyncClient):
    """The same for asyncio."""

    def __init__(self, url: str, identity: Identity, timeout: float) -> None:
        self._identity = identity
        self._may_sign_in = identity.speaks_for_key and identity.role == "anon"
        self._token = identity.token
        self.http = httpx.AsyncClient(timeout=timeout, http2=True)
        options = AsyncClientOptions(httpx_client=self.http, headers=_headers(identity.token), **_OPTIONS)
        super().__init__(url, identity.key, options)

    def renew(self) -> None:
        """Go on with the identity's present token."""
        if self._token != self._identity.token:
            self._token = self._identity.token
            self.options.headers.update(_headers(self._token))
            self._postgrest = self._storage = self._functions = None

    def _listen_to_auth_events(self, event: AuthChangeEvent, session: Session | None) -> None:
        if self._may_sign_in:
            super()._listen_to_auth_events(event, session)


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
