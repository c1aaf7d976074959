"""A small world to act in: jobs of several owners in several states, with rows in every table."""

from typing import Any
from uuid import UUID

from psycopg import sql

from database.servers import Session

USER = "00000000-0000-4000-8000-00000000000a"
OTHER_USER = "00000000-0000-4000-8000-00000000000b"
ADDRESS = "127.0.0.1"
"""Where the tests call from, so what the anonymous client is known by."""

OTHER_ADDRESS = "203.0.113.8"

OWNERS: dict[str, tuple[str | None, str]] = {
    "anonymous": (None, ADDRESS),
    "user": (USER, ADDRESS),
    "watched": (OTHER_USER, OTHER_ADDRESS),
    "other user": (OTHER_USER, ADDRESS),
    "other address": (None, OTHER_ADDRESS),
}
"""The user and the address of the jobs of each owner; `watched` are those that watch tokens are for."""

STATES = ("waiting", "claimed", "ended")

BACKENDS = ("service_account", "admin", "service_key")
"""Each has a consumer with a dead letter, and a threshold, of its own to delete."""

# Deleted, not truncated: that is slow where there is little. What belongs to jobs goes with them.
_EMPTY = """
    delete from public.jobs;
    delete from public.job_stats_hourly;
    delete from public.storage_operations;
    delete from private.stored_objects;
    delete from public.system_metrics;
    delete from public.metric_thresholds;
    delete from public.system_events;
    delete from public.security_events;
    delete from public.event_consumers;
    delete from private.rate_limits;
    delete from private.set_aside_facts;
    update private.settings set value = 'false' where name = 'queue_paused';
"""

EVENT = 0
"""An event that each backend's consumer can give up, or has given up already."""

_OF_A_JOB = """
    insert into public.elements (id, job_id, type, text_content, element_order)
    select overlay(id::text placing digit from 1 for 1)::uuid, id, 'text', 'Hello', digit::integer
    from public.jobs, unnest(array['1', '2']) as digit;

    insert into public.processing_timeline (id, job_id, step, step_order, started_at, completed_at, success)
    select
        overlay(id::text placing '3' from 1 for 1)::uuid, id,
        'download'::public.processing_step, 1, now(), clock_timestamp(), true
    from public.jobs
    union all
    select overlay(id::text placing '4' from 1 for 1)::uuid, id, 'encoding', 2, now(), null, null
    from public.jobs;

    insert into public.storage_operations (job_id, operation, bucket, key, file_size, duration_ms)
    select id, 'upload', 'videos', id::text, 1000, 20 from public.jobs;

    insert into public.url_access_logs (job_id, url, client_ip) select id, 'https://example.com/', '192.0.2.1'
    from public.jobs;

    update public.jobs set status = 'processing' where metadata ->> 'state' = 'claimed';
    insert into public.job_claims (id, job_id, worker, lease_expires_at) overriding system value
    select 1000 + row_number() over (order by id), id, 'worker', now() + interval '1 hour'
    from public.jobs where metadata ->> 'state' = 'claimed';

    update public.jobs set status = 'failed', error_code = 'broken' where metadata ->> 'state' = 'ended';
"""

_OF_THE_PLATFORM = """
    insert into public.job_stats_hourly values (
        date_trunc('hour', now()), 'mp4', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, array_fill(0, array[96])
    );
    insert into public.system_metrics (metric, value) values ('load', 2);
    insert into public.event_consumers (name, position_xid, position_id, lease, holder, lease_expires_at)
    select name, '0', 0, 1, 'instance', now() + interval '1 hour' from unnest({backends}::text[]) as name;
    insert into public.job_events (id, job_id, user_id, seq, type, status, is_terminal, progress_percentage)
    overriding system value
    select {event}, id, user_id, 1000, 'job.progress', status, false, 0
    from public.jobs where status = 'failed' limit 1;
    insert into public.event_dead_letters (consumer, event_id, event, attempts, error)
    select name, {event}, '{{}}', 1, 'broken' from unnest({backends}::text[]) as name;
    insert into public.metric_thresholds (metric, warning)
    select name, 1 from unnest({backends}::text[]) as name;
    insert into public.system_events (type, severity) values ('seen', 'info');
    select public.log_security_event('seen');
"""


def job_id(owner: str, state: str = "waiting") -> str:
    return f"00000000-0000-4000-8000-0000000000{list(OWNERS).index(owner) + 1}{STATES.index(state) + 1}"


def parts(owner: str, state: str) -> dict[str, Any]:
    """What belongs to a job, by the names under which arguments and bodies refer to it."""
    job = job_id(owner, state)
    element, other_element, _, step = (f"{digit}{job[1:]}" for digit in "1234")
    claim = 1001 + list(OWNERS).index(owner)
    return {
        "$job": job,
        "$element": element,
        "$other_element": other_element,
        "$step": step,
        "$claim": claim,
    }


def create(session: Session) -> None:
    """Make the world anew."""
    jobs = [
        sql.SQL("({}, {}, {}, 'mp4', 64, 64, jsonb_build_object('state', {}::text))").format(
            UUID(job_id(owner, state)), user, address, state
        )
        for owner, (user, address) in OWNERS.items()
        for state in STATES
    ]
    insert = sql.SQL(
        "insert into public.jobs (id, user_id, client_ip, output_format, width, height, metadata) values {};"
    ).format(sql.SQL(", ").join(jobs))
    of_the_platform = sql.SQL(_OF_THE_PLATFORM).format(backends=list(BACKENDS), event=EVENT)
    session.execute(sql.SQL("").join([sql.SQL(_EMPTY), insert, sql.SQL(_OF_A_JOB), of_the_platform]))


def contents(session: Session) -> dict[str, str]:
    """A hash of what each table holds."""
    tables = session.execute(
        "select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables "
        "where schemaname in ('public', 'private') and tablename <> 'schema_objects'"
    ).fetchall()
    query = " union all ".join(
        f"select '{name}', md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) from {name} as t"  # noqa: S608
        for (name,) in tables
    )
    return dict(session.execute(query.encode()).fetchall())
