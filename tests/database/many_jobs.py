"""A year of jobs in a database, quickly."""

from psycopg import sql

from database.servers import Database, Session

USERS = 1_000
USER = "00000000-0000-4000-8000-000000000007"
ADDRESSES = 5_000

# Job i of `total`, evenly over a year; the newest 2 % wait, the 0.2 % before them are being processed, the
# rest has ended. One in ten has no user. The newest 5 % have events.
_JOBS = """
    insert into public.jobs (
        user_id, client_ip, status, output_format, width, height, progress_percentage, error_code, output_url,
        metadata, event_seq, created_at, updated_at, started_at, completed_at, finished_at
    )
    select
        case when i %% 10 > 0 then ('00000000-0000-4000-8000-' || lpad(user_number::text, 12, '0'))::uuid end,
        '10.0.0.0'::inet + i %% {addresses},
        status,
        (array['mp4', 'mp4', 'mp4', 'webm', 'mov', 'gif'])[1 + i %% 6],
        1920,
        1080,
        case status when 'completed' then 100 when 'processing' then i %% 100 else 0 end,
        case when status in ('failed', 'timeout') then 'error_' || i %% 20 end,
        case when status = 'completed' then 'https://example.com/' || i end,
        jsonb_build_object('campaign', i %% 500),
        case when age < 0.05 then case when status = 'pending' then 1 else 4 end else 0 end,
        created_at,
        created_at,
        case when status <> 'pending' then created_at + '1 minute' end,
        case when status = 'completed' then created_at + '3 minutes' end,
        case when status not in ('pending', 'processing') then created_at + '3 minutes' end
    from (
        select
            i,
            (i + i / {users}) %% {users} as user_number,
            (%(total)s - i)::numeric / %(total)s as age,
            now() - '1 year'::interval * ((%(total)s - i)::float8 / %(total)s) as created_at
        from generate_series(1, %(total)s) as i
    ) as numbered,
    lateral (
        select (case
            when age < 0.02 then 'pending'
            when age < 0.022 then 'processing'
            when i %% 100 < 89 then 'completed'
            when i %% 100 < 95 then 'failed'
            when i %% 100 < 98 then 'cancelled'
            else 'timeout'
        end)::public.job_status as status
    ) as chosen
"""

_EVENTS = """
    insert into public.job_events (
        xid, job_id, user_id, seq, type, status, is_terminal, progress_percentage, created_at
    )
    select
        -- Made up, and earlier than any transaction that is still to come.
        (3 + dense_rank() over (order by created_at) / 100)::text::xid8,
        id, user_id, seq, case when seq = 1 then 'job.created' else 'job.status' end, status, is_terminal,
        progress_percentage, created_at
    from public.jobs, generate_series(1, event_seq) as seq
"""

# The newest job of the user that has ended gets a long log.
_LONG_LOG = """
    with long as (
        update public.jobs set event_seq = 10000
        where id = (
            select id from public.jobs where user_id = %(user)s and event_seq = 4
            order by created_at desc limit 1
        )
        returning *
    )
    insert into public.job_events (xid, job_id, user_id, seq, type, status, is_terminal, progress_percentage)
    select '3', id, user_id, seq, 'job.progress', status, is_terminal, progress_percentage
    from long, generate_series(5, 10000) as seq
"""

# One claim on each job that is or was being processed, of the newest 5 %.
_CLAIMS = """
    insert into public.job_claims (job_id, worker, claimed_at, lease_expires_at, ended_at, outcome)
    select
        id, 'worker ' || i %% 50, started_at,
        case when finished_at is null then now() else started_at end + '1 day',
        finished_at, case when finished_at is not null then status::text end
    from (
        select *, row_number() over (order by started_at) as i
        from public.jobs where event_seq = 4 or status = 'processing'
    ) as claimed
    where %(total)s > 0
"""

_INDEXES = """
    select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_catalog.pg_index
    where indrelid = %s::regclass
    and not exists (select from pg_catalog.pg_constraint where conindid = indexrelid)
"""


def fill(database: Database, total: int) -> None:
    """Insert `total` jobs and the events of the newest, past the triggers, and gather statistics."""
    with database.connect_as_superuser() as session:
        # No trigger fires and no foreign key is checked.
        session.execute("set session_replication_role = replica")
        session.execute("set maintenance_work_mem = '256MB'")
        _insert(session, "public.jobs", _JOBS, total)
        _insert(session, "public.job_events", _EVENTS, total)
        session.execute(_LONG_LOG, {"user": USER})
        session.execute(_CLAIMS, {"total": total})
        session.execute("vacuum analyze")


def _insert(session: Session, table: str, statement: str, total: int) -> None:
    """Insert with the indexes made afterwards."""
    indexes = session.execute(_INDEXES, (table,)).fetchall()
    with session.transaction():
        for index, _ in indexes:
            session.execute(sql.SQL("drop index {}").format(sql.SQL(index)))
        query = sql.SQL(statement).format(users=sql.Literal(USERS), addresses=sql.Literal(ADDRESSES))
        session.execute(query, {"total": total})
        for _, definition in indexes:
            session.execute(sql.SQL(definition))
