"""The service under test: takes the recorded requests, and lets a test see and restore its data."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg

from conformance.rest.case import Answer, Case
from conformance.rest.tokens import Tokens
from localbase.pytest_plugin import LocalStack

_SETUP = Path(__file__).with_name("setup.sql")
_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Service:
    """Holds a session of the superuser and a client."""

    database: psycopg.Connection[tuple[Any, ...]]
    http: httpx.Client
    tokens: Tokens

    @classmethod
    @contextmanager
    def of(cls, stack: LocalStack) -> Iterator[Self]:
        """Fill the stack's database with what the recording needs. It takes a moment until it is served."""
        base = f"{stack.api_url}/rest/v1"
        with (
            psycopg.connect(stack.admin_db_url, autocommit=True) as database,
            httpx.Client(base_url=base, timeout=_TIMEOUT_S, trust_env=False) as http,
        ):
            database.execute(_SETUP.read_text(encoding="utf-8"))
            database.execute("notify pgrst, 'reload schema'")
            # A server that keeps a transaction open would hold up the reset.
            database.execute("set lock_timeout = '15s'")
            yield cls(database, http, Tokens(stack.jwt_secret))

    def check_ready(self) -> None:
        answer = self.http.post("rpc/ret_int", json={}, headers=self.tokens.headers("anon"))
        assert answer.status_code == HTTPStatus.OK, answer.text

    def reset(self) -> None:
        self.database.execute("select golden.reset()")

    def answer(self, case: Case) -> Answer:
        response = self.http.send(self._request(case))
        return Answer(response.status_code, response.headers, response.text)

    def look(self, query: str) -> Any:
        """The one value that a query finds."""
        row = self.database.execute(query).fetchone()
        return row and row[0]

    def _request(self, case: Case) -> httpx.Request:
        headers = [*self.tokens.headers(case.role).items(), *case.header_items()]
        request = self.http.build_request(case.method, case.path, headers=headers, content=case.body)
        assert request.url.raw_path.decode().endswith(case.path), "the path was encoded anew"
        return request
