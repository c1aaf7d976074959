"""A stack whose parts are killed and started again one by one, at the same addresses, with the same data."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psycopg

from chaos import gateway
from localbase.database import bootstrap
from localbase.keys import Keys
from localbase.ports import HOST, claim_port
from localbase.postgres import PostgresServer
from localbase.project import read_project
from localbase.stack import StackOptions, StackStatus, fill, running_server
from support import Target, eventually

ROOT = Path(__file__).parents[2]


class Stack:
    """Postgres on data that goes with it, and the gateway in a process of its own. Use as `async with`."""

    def __init__(self, log: Path) -> None:
        self.port = claim_port(0)
        self._log = log
        self._options = StackOptions(workdir=ROOT, db_port=claim_port(0), ephemeral=True)
        self._resources = ExitStack()
        self._server: PostgresServer | None = None
        self._gateway: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.to_thread(self._start_database)
        await self.start_gateway()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.to_thread(self.kill_gateway)
        await asyncio.to_thread(self._resources.close)

    @property
    def target(self) -> Target:
        status = StackStatus(f"http://{HOST}:{self.port}", self._running.database(), Keys.local())
        keys = status.keys
        return Target(status.api_url, keys.anon_key, keys.service_role_key, keys.jwt_secret, status.db_url)

    async def start_gateway(self) -> None:
        """Returns when it answers."""
        await eventually(self._assert_gateway_answers, seconds=30)

    def _spawn_gateway(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, gateway.__file__, ROOT, str(self._options.db_port), str(self.port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def kill_gateway(self) -> None:
        """Without a chance to say good-bye."""
        process, self._gateway = self._gateway, None
        if process is not None:
            process.kill()
            process.communicate()

    async def stop_postgres(self, how: signal.Signals) -> None:
        """Shut it down as the signal says: SIGINT is fast, SIGQUIT immediate, with recovery at the start."""
        if how is not signal.SIGINT:
            os.kill(self._postmaster(), how)
        await asyncio.to_thread(self._running.stop)

    async def start_postgres(self) -> None:
        await asyncio.to_thread(self._running.start)

    async def crash_postgres(self) -> None:
        """Kill one session: the server ends all others and recovers by itself. Returns when it has."""
        await asyncio.to_thread(self._crash)
        await eventually(self._assert_postgres_answers, seconds=30)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.target.connect() as session:
            return session.execute(query.encode()).fetchall()

    @property
    def _running(self) -> PostgresServer:
        assert self._server is not None, "the stack has not been entered"
        return self._server

    def _start_database(self) -> PostgresServer:
        with ExitStack() as resources:
            server = resources.enter_context(running_server(self._options))
            bootstrap(server.port)
            fill(read_project(ROOT), server.database(), fresh=True)
            self._resources = resources.pop_all()
        with psycopg.connect(server.database().dsn(), autocommit=True) as session:
            session.execute("update private.settings set value = 'true' where name = 'broadcast_job_events'")
        return server

    def _postmaster(self) -> int:
        return int((self._running.directory.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])

    def _crash(self) -> None:
        """Returns when the server has noticed."""
        with (
            self.target.connect() as victim,
            self.target.connect() as witness,
            suppress(psycopg.OperationalError),
        ):
            os.kill(victim.info.backend_pid, signal.SIGKILL)
            while True:
                witness.execute("select pg_sleep(0.01)")

    def _assert_postgres_answers(self) -> None:
        try:
            self.rows("select 1")
        except psycopg.OperationalError as error:
            raise AssertionError("Postgres does not answer") from error

    async def _assert_gateway_answers(self) -> None:
        if self._gateway is None or self._gateway.poll() is not None:
            # It ends at once when Postgres is away. A supervisor would start it again, too.
            self.kill_gateway()
            self._gateway = self._spawn_gateway()
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError as error:
            raise AssertionError("the gateway does not answer") from error
        writer.close()
