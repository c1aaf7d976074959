"""The examination: one look after another, each only where the ones before leave something to see."""

import asyncio
import platform
import re
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx

from reelbase.doctor import database as direct
from reelbase.doctor.api import Api, Reply
from reelbase.doctor.catalogue import Operation, operations
from reelbase.doctor.database import DatabaseFacts
from reelbase.doctor.diagnosis import Diagnosis, Finding, note, ok, problem, skipped, troubled
from reelbase.doctor.functions import AREA as OPERATIONS
from reelbase.doctor.functions import MIGRATE, Evidence, judge
from reelbase.doctor.keys import AREA as KEYS
from reelbase.doctor.keys import VARIABLES, KeyKind
from reelbase.doctor.settings import Known, look_at_settings
from reelbase.errors import ConnectionFailed
from reelbase.realtime.endpoint import RealtimeEndpoint, Timing
from reelbase.realtime.loopback import REALTIME_REMEDY, loop_back

_PACKAGES = ("reelbase", "supabase", "postgrest", "realtime", "httpx", "pydantic", "psycopg")
_AT_ONCE = 8
_SAID_ONE_BY_ONE = 8
_CLOCK_SECONDS = 10.0
_LIVE_TABLES = {"public.job_events": "watching jobs", "public.system_events": "system events"}


async def examine(directory: Path) -> Diagnosis:
    """Look at everything. Raises nothing of the servers': what is wrong with them is what this tells."""
    known, findings = look_at_settings()
    findings = [ok("versions", _versions()), *findings]
    if known is None:
        return Diagnosis(url=None, findings=tuple(findings))
    findings += await _look_through_api(known, directory, _subjects(findings))
    return Diagnosis(url=known.url, findings=tuple(findings))


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found) + "."


async def _look_through_api(known: Known, directory: Path, wrong: set[str]) -> list[Finding]:
    findings: list[Finding] = []
    accepted: list[KeyKind] = []
    for kind, key in known.keys.items():
        async with Api(known.url, key, known.timeout) as api:
            try:
                reply = await api.look("user_role", {})
            except httpx.HTTPError as error:
                return [*findings, _unreachable(known, error)]
        # A key of the wrong role is accepted too; what is wrong with it has been said.
        found = [] if VARIABLES[kind] in wrong else list(_look_at_reply(kind, reply))
        findings += found
        if VARIABLES[kind] in wrong:
            continue
        if not troubled(found):
            accepted.append(kind)
    if not accepted:
        return [*findings, skipped(OPERATIONS, "Without a key that is accepted, nothing more can be seen.")]
    facts, told = await _look_at_database(known, directory)
    findings += told
    if accepted:
        role = accepted[0]
        async with Api(known.url, known.keys[role], known.timeout) as api:
            findings += await _look_at_operations(api, role, facts)
            if role is KeyKind.BACKEND:
                findings += await _look_at_schema(api, _subjects(findings))
                findings += await _look_at_caller(known)
        if "public.job_events" not in _subjects(findings):
            findings += [await _look_at_realtime(known, role)]
    return findings


def _unreachable(known: Known, error: httpx.HTTPError) -> Finding:
    reason = str(error) or type(error).__name__
    return problem(
        "connection",
        f"{known.url} cannot be reached ({reason}).",
        "Check SUPABASE_URL, that the project runs (localbase start, supabase start), and the network.",
        subject="SUPABASE_URL",
    )


def _look_at_reply(kind: KeyKind, reply: Reply) -> Iterator[Finding]:
    """What the first call says about the address, the key and the clocks."""
    variable = VARIABLES[kind]
    if reply.status == httpx.codes.UNAUTHORIZED:
        reason = reply.word("message") or "no reason given"
        yield problem(
            KEYS,
            f"The server does not accept {variable} ({reason}).",
            "Copy the keys anew; they belong to one project, and change when its JWT secret does.",
            subject=variable,
        )
        return
    if reply.body is None or (reply.status >= httpx.codes.BAD_REQUEST and reply.code is None):
        yield problem(
            "connection",
            f"What answers at SUPABASE_URL is no Data API (HTTP {reply.status}).",
            "SUPABASE_URL is the project's address without a path, such as https://abc.supabase.co.",
            subject="SUPABASE_URL",
        )
        return
    yield ok(KEYS, f"{variable} is accepted.")
    ahead = reply.clock_ahead
    if ahead is not None and abs(ahead) > _CLOCK_SECONDS:
        words = "behind" if ahead > 0 else "ahead of"
        yield problem(
            "clock",
            f"The clock here is {abs(ahead):.0f} s {words} the server's; fresh tokens are refused for that.",
            "Have the clock set by NTP.",
            subject="clock",
        )


async def _look_at_operations(api: Api, role: KeyKind, facts: DatabaseFacts | None) -> list[Finding]:
    """Whether each operation has its function. Nothing is changed: see Api.look."""
    fuse = await _safely(api, "record_metric", {"metric": "reelbase.doctor", "value": "1"})
    if fuse is not None and fuse.status < httpx.codes.BAD_REQUEST:
        words = "Operations were not tried: what answers runs even GET requests with the right to write."
        return [skipped(OPERATIONS, words, "Look at what stands between here and PostgREST.")]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(operation: Operation) -> list[Finding]:
        async with gate:
            reply = await _safely(api, operation.function, operation.arguments)
        if reply is None:
            return [note(OPERATIONS, f"{operation.name} could not be looked at: no answer.", "Try again.")]
        routines = None if facts is None else facts.routines.get(operation.function, ())
        found = list(judge(Evidence(operation, role, reply, routines)))
        # Most functions are for backends, and not granted to others.
        return [] if role is KeyKind.PUBLIC and reply.code == "42501" else found

    every = operations()
    findings = [finding for found in await asyncio.gather(*map(look, every)) for finding in found]
    if not findings:
        return [ok(OPERATIONS, f"All {len(every)} operations have their function.")]
    rest = len(every) - len({finding.message.partition(":")[0] for finding in findings})
    others = [ok(OPERATIONS, f"The other {rest} operations have their function.")] if rest else []
    return [*_in_few_words(findings), *others]


def _in_few_words(findings: list[Finding]) -> list[Finding]:
    """Say it once where many need the same remedy, most often on a database without migrations."""
    told: list[Finding] = []
    for remedy, number in Counter(finding.remedy for finding in findings).items():
        same = [finding for finding in findings if finding.remedy == remedy]
        if number <= _SAID_ONE_BY_ONE:
            told += same
            continue
        names = ", ".join(sorted(finding.subject or "" for finding in same))
        told.append(problem(OPERATIONS, f"{number} functions are missing: {names}.", remedy or MIGRATE))
    return told


async def _safely(api: Api, function: str, arguments: Any) -> Reply | None:
    try:
        return await api.look(function, arguments)
    except httpx.HTTPError:
        return None


def _subjects(findings: list[Finding]) -> set[str]:
    return {finding.subject for finding in findings if finding.subject is not None}


async def _look_at_schema(api: Api, told: set[str]) -> list[Finding]:
    """What verify_database_schema finds, but for functions and tables that have been told already."""
    try:
        reply = await api.read("verify_database_schema")
    except httpx.HTTPError:
        reply = None
    if reply is None or reply.status >= httpx.codes.BAD_REQUEST or not isinstance(reply.body, list):
        reason = (reply.word("message") if reply else "") or "no answer"
        return [skipped("schema", f"The schema could not be verified ({reason}).", MIGRATE)]
    rows = [row for row in reply.body if not _is_told(row["name"], told)]
    findings = [
        note("schema", f"{row['kind']} {row['name']} is not of the migrations.")
        if row["problem"] == "unexpected"
        else _schema_problem(row)
        for row in rows
    ]
    return findings or ([] if reply.body else [ok("schema", "The schema is what the migrations made.")])


def _is_told(name: str, told: set[str]) -> bool:
    return any(re.search(rf"(\.|\b){re.escape(subject)}(\(|\s+in\s|$)", name) for subject in told)


def _schema_problem(row: dict[str, str]) -> Finding:
    if row["kind"] == "publication":
        return _unpublished(row["name"].split(" ")[0])
    message = f"{row['kind']} {row['name']} is {row['problem']}."
    return problem("schema", message, MIGRATE, subject=row["name"])


def _unpublished(table: str) -> Finding:
    words = _LIVE_TABLES.get(table, "what listens to it")
    return problem(
        "realtime",
        f"The table {table} is not published; {words} gets nothing pushed.",
        f"As the owner: alter publication supabase_realtime add table {table};",
        subject=table,
    )


async def _look_at_caller(known: Known) -> list[Finding]:
    """Whether the database learns a caller's address: anonymous callers are known by it."""
    kind = KeyKind.PUBLIC if KeyKind.PUBLIC in known.keys else KeyKind.BACKEND
    async with Api(known.url, known.keys[kind], known.timeout) as api:
        reply = await _safely(api, "client_ip", {})
    if reply is None or reply.status >= httpx.codes.BAD_REQUEST or reply.body is not None:
        return []
    return [
        note(
            "callers",
            "The database does not learn callers' addresses, so anonymous callers can do nothing.",
            "Set client_ip_header in private.settings to the header that your proxy writes.",
        )
    ]


async def _look_at_realtime(known: Known, role: KeyKind) -> Finding:
    timing = Timing(connect=known.timeout, join=known.timeout)
    try:
        took = await loop_back(RealtimeEndpoint(f"{known.url}/realtime/v1", known.keys[role], timing=timing))
    except ConnectionFailed as error:
        return problem("realtime", error.message, error.hint or REALTIME_REMEDY, subject="realtime")
    return ok("realtime", f"A message came back in {took:.0f} ms.")


async def _look_at_database(known: Known, directory: Path) -> tuple[DatabaseFacts | None, list[Finding]]:
    if known.database_url is None:
        words = "DATABASE_URL is not set: result types and applied migrations were not compared."
        return None, [skipped("database", words)]
    if not direct.has_driver():
        words = "DATABASE_URL is set, but psycopg is not installed."
        return None, [skipped("database", words, "pip install 'reelbase[transactions]'")]
    try:
        facts = await asyncio.to_thread(direct.read_facts, known.database_url, known.timeout)
    except ConnectionFailed as error:
        return None, [problem("database", error.message, "Check DATABASE_URL.", subject="DATABASE_URL")]
    return facts, list(_told_by_database(facts, directory))


def _told_by_database(facts: DatabaseFacts, directory: Path) -> Iterator[Finding]:
    yield ok("database", f"Postgres {facts.server_version} lets us in.")
    for table in _LIVE_TABLES:
        if table not in facts.published:
            yield _unpublished(table)
    files = direct.migration_files(directory)
    if facts.migrations is None or not files:
        return
    missing = [name for version, name in files.items() if version not in facts.migrations]
    if missing:
        yield problem("migrations", f"Not applied: {', '.join(missing)}.", MIGRATE, subject=missing[0])
    else:
        yield ok("migrations", f"All {len(files)} migrations of {directory / 'supabase'} are applied.")
