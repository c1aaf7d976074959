-- Analytics: what an operator asks of the platform, as views and reports.
--
-- Two kinds of figures. What is now, or was lately, is read from the tables themselves, through an index. What has been
-- is read from job_stats_hourly, which counts every creation and change of status of a job exactly once, from the event
-- log, and outlives jobs and log; what is not counted yet is added when it is read. What steps did is summed by the hour,
-- once an hour is over, and read from the steps themselves before.

insert into private.settings (name, form, value, description) values
    ('stalled_after_seconds', 'number', '300', 'A job processed without a claim is stalled when nothing has happened for so long.'),
    ('slow_after_seconds', 'number', '3600', 'A job is slow when it has been processed for longer than this.'),
    ('slow_factor', 'number', '10', 'A job is slow when it has been processed for longer than so many times its estimated_duration.'),
    ('slow_wait_seconds', 'number', '900', 'A job is slow when it could have been claimed for so long and nobody has.'),
    ('recent_days', 'number', '7', 'How far back the views on what was lately go.');

-- Since when the views on what was lately look. A function and no subselect, because the planner asks a stable function
-- for its value, and chooses the index by it.
create function private.recent_since()
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select private.days_ago('recent_days');
$$;
comment on function private.recent_since is 'Since when the views on what was lately look.';
grant execute on function private.recent_since to anon, authenticated, service_role;

-- How much of a whole a part is, in percent; null of nothing.
create function private.percent(part numeric, whole numeric)
returns numeric
language sql
immutable
set search_path = ''
as $$
    select round(100 * part / nullif(whole, 0), 2);
$$;
comment on function private.percent is 'How much of a whole a part is, in percent.';
grant execute on function private.percent to anon, authenticated, service_role;

-- Histograms ---------------------------------------------------------------------------------

-- Times are kept as counts in 96 places, each of which ends at 2^(1/4) times the end of the one before: the first
-- at 19 ms, the last at 3 days. Whatever a percentile is read as lies within a tenth of what it is, of times
-- from 16 ms to 3 days; shorter and longer ones count in the first and the last place.

-- The place of a time in a histogram.
create function private.histogram_place(duration_ms bigint)
returns integer
language sql
immutable
set search_path = ''
as $$
    select least(96, 1 + floor(4 * log(2, greatest(duration_ms, 16) / 16.0)))::integer;
$$;
comment on function private.histogram_place is 'The place of a time in a histogram.';
grant execute on function private.histogram_place to authenticated, service_role;

-- The histogram of some times; null has no place in it.
create function private.histogram(durations_ms bigint[])
returns integer[]
language sql
immutable
set search_path = ''
as $$
    select array_agg(coalesce(counted.jobs, 0) order by place)
    from generate_series(1, 96) as place
    left join (
        select private.histogram_place(duration_ms) as place, count(*)::integer as jobs
        from unnest(durations_ms) as duration_ms
        where duration_ms is not null
        group by 1
    ) as counted using (place);
$$;
comment on function private.histogram is 'The histogram of some times.';
grant execute on function private.histogram to authenticated, service_role;

-- Two histograms as one.
create function private.histograms_added(one integer[], other integer[])
returns integer[]
language sql
immutable
set search_path = ''
as $$
    select array_agg(added.one + added.other order by added.place)
    from unnest(histograms_added.one, histograms_added.other) with ordinality as added (one, other, place);
$$;
comment on function private.histograms_added is 'Two histograms as one.';
grant execute on function private.histograms_added to authenticated, service_role;

-- Percentiles of what several histograms (an array of them) count together, in seconds; of nothing, null. Each is
-- the middle, by ratio, of the place that the value lies in.
create function private.percentiles(histograms integer[], fractions numeric[])
returns numeric[]
language sql
immutable
set search_path = ''
as $$
    with place as (
        select ((entry.number - 1) % 96)::integer as place, sum(entry.jobs) as jobs
        from unnest(histograms) with ordinality as entry (jobs, number)
        where entry.jobs > 0
        group by 1
    ),
    running as (
        select place, sum(jobs) over (order by place) as jobs_so_far, sum(jobs) over () as jobs_in_all from place
    )
    select array(
        select (
            select round((0.016 * 2 ^ ((min(running.place) + 0.5) / 4))::numeric, 3)
            from running where running.jobs_so_far >= fraction * running.jobs_in_all
        )
        from unnest(fractions) with ordinality as wanted (fraction, number)
        order by wanted.number
    );
$$;
comment on function private.percentiles is 'Percentiles of what several histograms count together, in seconds.';
grant execute on function private.percentiles to authenticated, service_role;

-- The summary --------------------------------------------------------------------------------

create table public.job_stats_hourly (
    hour timestamptz not null,
    output_format text not null,
    created bigint not null,
    started bigint not null,
    completed bigint not null,
    failed bigint not null,
    cancelled bigint not null,
    timeout bigint not null,
    retried bigint not null,
    released bigint not null,
    processing_seconds numeric not null,
    lost_seconds numeric not null,
    waiting_seconds numeric not null,
    output_bytes bigint not null,
    output_seconds numeric not null,
    processing_times integer[] not null,
    primary key (hour, output_format),
    constraint job_stats_hourly_histogram check (cardinality(processing_times) = 96)
);
alter table public.job_stats_hourly enable row level security;
comment on table public.job_stats_hourly is
    'What happened to jobs, by the hour in which it happened and by format. What is not counted yet is not in it.';
comment on column public.job_stats_hourly.started is 'How often a job began to be processed, each attempt for itself.';
comment on column public.job_stats_hourly.retried is
    'How often a job went back to wait because an attempt failed or its worker fell silent, or because it was retried.';
comment on column public.job_stats_hourly.released is 'How often a job was given back, to wait again.';
comment on column public.job_stats_hourly.processing_seconds is 'Of the attempts that made a video, start to completion.';
comment on column public.job_stats_hourly.lost_seconds is 'Of the attempts that ended otherwise.';
comment on column public.job_stats_hourly.waiting_seconds is
    'Before attempts that started, from when the job was there to be claimed (the delay of a retry is not waiting).';
comment on column public.job_stats_hourly.output_seconds is 'Length of the finished videos.';
comment on column public.job_stats_hourly.processing_times is
    'How many of the attempts that made a video took how long, in 96 steps of 2^(1/4) from 16 ms on: private.histogram.';

grant select on public.job_stats_hourly to authenticated, service_role;
create policy "Backends see statistics" on public.job_stats_hourly
    for select to authenticated using ((select private.is_service()));

-- Up to where the log is counted.
create table private.job_stats_cursor (
    is_only boolean primary key default true check (is_only),
    xid xid8 not null,
    id bigint not null,
    counted_at timestamptz
);
alter table private.job_stats_cursor enable row level security;
comment on table private.job_stats_cursor is 'The last event that job_stats_hourly counts, in the order of the log.';
grant select on private.job_stats_cursor to authenticated, service_role;
create policy "Backends see the cursor" on private.job_stats_cursor
    for select to authenticated using ((select private.is_service()));
insert into private.job_stats_cursor (xid, id) values ('0', 0);

-- What is counted: after a place in the log, and the last such event of a job before another.
create index job_events_of_status on public.job_events (xid, id) where type in ('job.created', 'job.status');
create index job_events_of_status_by_job on public.job_events (job_id, seq) where type in ('job.created', 'job.status');

-- What each creation and change of status adds to the statistics. Times are those of the events: how long a job was
-- processed or waited is the time since the status before. Where the log no longer has that, the job tells.
create view private.status_facts with (security_invoker = true) as
select
    events.job_id,
    events.xid,
    events.id,
    date_trunc('hour', events.created_at at time zone 'UTC') at time zone 'UTC' as hour,
    jobs.output_format,
    case
        when events.type = 'job.created' then 'created'
        when events.status = 'processing' then 'started'
        when events.status <> 'pending' then events.status::text
        when events.data ->> 'from' in ('failed', 'timeout') then 'retried'
        when events.data ->> 'attempt' in ('retried', 'rescued') then 'retried'
        else 'released'
    end as kind,
    case when events.data ->> 'from' = 'processing' then greatest(0, round(1000 * extract(
        epoch from events.created_at - coalesce(before.created_at, jobs.started_at)
    )))::bigint end as processing_ms,
    case when events.status = 'processing' then greatest(0, extract(epoch from events.created_at - greatest(
        coalesce(before.created_at, jobs.created_at), (before.data ->> 'available_at')::timestamptz
    ))) end as waiting_seconds,
    case when events.status = 'completed' then (events.data ->> 'output_size')::bigint end as output_bytes,
    case when events.status = 'completed' then (events.data ->> 'actual_duration')::numeric end as output_seconds
from public.job_events as events
cross join lateral (
    -- Its limit keeps the planner to looking jobs up: for a few thousand events it would rather read all jobs.
    select owner.output_format, owner.created_at, owner.started_at
    from public.jobs as owner where owner.id = events.job_id limit 1
) as jobs
left join lateral (
    select earlier.created_at, earlier.data
    from public.job_events as earlier
    where earlier.job_id = events.job_id and earlier.seq < events.seq
        and earlier.type in ('job.created', 'job.status')
    order by earlier.seq desc limit 1
) as before on true
where events.type in ('job.created', 'job.status');
comment on view private.status_facts is 'What each creation and change of status adds to the statistics.';
grant select on private.status_facts to authenticated, service_role;

-- The same of events that went with their jobs before they were counted. A row may be of an event that has been counted
-- since: only what lies after the cursor counts.
create table private.set_aside_facts (
    job_id uuid not null,
    xid xid8 not null,
    id bigint primary key,
    hour timestamptz not null,
    output_format text not null,
    kind text not null,
    processing_ms bigint,
    waiting_seconds numeric,
    output_bytes bigint,
    output_seconds numeric
);
alter table private.set_aside_facts enable row level security;
comment on table private.set_aside_facts is 'Facts of deleted jobs that are to be counted yet.';
grant select on private.set_aside_facts to authenticated, service_role;
create policy "Backends see facts" on private.set_aside_facts
    for select to authenticated using ((select private.is_service()));

-- Keep what a job that is deleted has to add to the statistics. It locks nothing: whether the event or this row is
-- counted is decided by the cursor, which passes each place once.
create function private.jobs_set_facts_aside()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    insert into private.set_aside_facts
    select facts.*
    from private.status_facts as facts, private.job_stats_cursor as place
    where facts.job_id = old.id and (facts.xid, facts.id) > (place.xid, place.id);
    return old;
end;
$$;
comment on function private.jobs_set_facts_aside is 'Trigger: keeps what a deleted job has to add to the statistics.';

create trigger a_set_facts_aside before delete on public.jobs
    for each row execute function private.jobs_set_facts_aside();

-- What the facts after one place in the log, up to another if one is given, add to job_stats_hourly. In plpgsql, which plans
-- with the places at hand: the planner has to know that the stretch is short.
create function private.status_sums(after_xid xid8, after_id bigint, upto_xid xid8 default null, upto_id bigint default null)
returns setof public.job_stats_hourly
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
        with facts as (
            select logged.*
            from private.status_facts as logged
            where (logged.xid, logged.id) > (after_xid, after_id)
                and (upto_xid is null or (logged.xid, logged.id) <= (upto_xid, upto_id))
            union all
            select kept.*
            from private.set_aside_facts as kept
            where (kept.xid, kept.id) > (after_xid, after_id)
        )
        select
            facts.hour,
            facts.output_format,
            count(*) filter (where facts.kind = 'created'),
            count(*) filter (where facts.kind = 'started'),
            count(*) filter (where facts.kind = 'completed'),
            count(*) filter (where facts.kind = 'failed'),
            count(*) filter (where facts.kind = 'cancelled'),
            count(*) filter (where facts.kind = 'timeout'),
            count(*) filter (where facts.kind = 'retried'),
            count(*) filter (where facts.kind = 'released'),
            round(coalesce(sum(facts.processing_ms) filter (where facts.kind = 'completed'), 0) / 1000, 3),
            round(coalesce(sum(facts.processing_ms) filter (where facts.kind <> 'completed'), 0) / 1000, 3),
            coalesce(sum(facts.waiting_seconds), 0),
            coalesce(sum(facts.output_bytes), 0)::bigint,
            coalesce(sum(facts.output_seconds), 0),
            private.histogram(array_agg(facts.processing_ms) filter (where facts.kind = 'completed'))
        from facts
        group by facts.hour, facts.output_format;
end;
$$;
comment on function private.status_sums is 'What a stretch of the log adds to job_stats_hourly.';
grant execute on function private.status_sums to authenticated, service_role;

-- How many events a row counts.
create function private.event_count(stats public.job_stats_hourly)
returns bigint
language sql
immutable
set search_path = ''
as $$
    select stats.created + stats.started + stats.completed + stats.failed + stats.cancelled + stats.timeout + stats.retried
        + stats.released;
$$;
comment on function private.event_count is 'How many events a row of job_stats_hourly counts.';
grant execute on function private.event_count to authenticated, service_role;

create type public.statistics_refresh as (events bigint, more boolean);
comment on type public.statistics_refresh is 'How many events were counted, and whether there is more that can be counted or summed.';

-- The counting itself: everything between the cursor, which the caller has locked, and a place in the log, which becomes the
-- cursor. What readers see, summary and cursor, changes in one commit. For the definers below.
create function private.count_upto(place private.job_stats_cursor, upto_xid xid8, upto_id bigint)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    counted bigint;
begin
    -- One statement, so that an event and the fact set aside for it are not both there.
    with sums as materialized (
        select * from private.status_sums(place.xid, place.id, upto_xid, upto_id)
    ),
    done as (
        delete from private.set_aside_facts
    ),
    summed as (
        insert into public.job_stats_hourly as kept
        select * from sums
        on conflict (hour, output_format) do update set
            created = kept.created + excluded.created,
            started = kept.started + excluded.started,
            completed = kept.completed + excluded.completed,
            failed = kept.failed + excluded.failed,
            cancelled = kept.cancelled + excluded.cancelled,
            timeout = kept.timeout + excluded.timeout,
            retried = kept.retried + excluded.retried,
            released = kept.released + excluded.released,
            processing_seconds = kept.processing_seconds + excluded.processing_seconds,
            lost_seconds = kept.lost_seconds + excluded.lost_seconds,
            waiting_seconds = kept.waiting_seconds + excluded.waiting_seconds,
            output_bytes = kept.output_bytes + excluded.output_bytes,
            output_seconds = kept.output_seconds + excluded.output_seconds,
            processing_times = private.histograms_added(kept.processing_times, excluded.processing_times)
    )
    select coalesce(sum(private.event_count(sums)), 0) into counted from sums;
    update private.job_stats_cursor set xid = upto_xid, id = upto_id, counted_at = clock_timestamp();
    return counted;
end;
$$;
comment on function private.count_upto is 'Count the events between the cursor and a place in the log.';

-- Count at most max_events of those that can be counted: only what lies before the oldest open transaction, so that what
-- commits late is counted later. The cursor's lock lets one session count at a time; the next one goes on where it ended.
-- Definer: nobody writes the summary otherwise; so it asks for itself who is calling.
create function private.count_status_events(max_events integer)
returns public.statistics_refresh
language plpgsql
security definer
set search_path = ''
as $$
declare
    place private.job_stats_cursor;
    horizon xid8;
    upto record;
    counted public.statistics_refresh;
begin
    perform private.require_service();
    select * into strict place from private.job_stats_cursor for update;
    horizon := private.log_horizon();
    select stretch.xid, stretch.id into upto
    from (
        select events.xid, events.id
        from public.job_events as events
        where events.type in ('job.created', 'job.status')
            and (events.xid, events.id) > (place.xid, place.id)
            and events.xid < horizon
        order by events.xid, events.id
        limit max_events
    ) as stretch
    order by stretch.xid desc, stretch.id desc limit 1;
    if not found then
        upto := place;
    end if;
    counted.events := private.count_upto(place, upto.xid, upto.id);
    counted.more := exists (
        select from public.job_events as events
        where events.type in ('job.created', 'job.status')
            and (events.xid, events.id) > (upto.xid, upto.id)
            and events.xid < horizon
    );
    if private.sum_steps(max_events) then
        counted.more := true;
    end if;
    return counted;
end;
$$;
comment on function private.count_status_events is 'Count events that are not counted yet.';
grant execute on function private.count_status_events to authenticated, service_role;

-- Count whatever is in the log and go on by id from there: for whoever numbers the log's transactions anew after a restore
-- (private.rebase_event_log), while nobody can write it. For operators, so nobody has the right to it.
create function private.count_whole_log()
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    place private.job_stats_cursor;
    counted bigint;
begin
    select * into strict place from private.job_stats_cursor for update;
    counted := private.count_upto(place, '18446744073709551615', 0);
    update private.job_stats_cursor set
        xid = '0',
        id = coalesce((select max(events.id) from public.job_events as events), 0);
    return counted;
end;
$$;
comment on function private.count_whole_log is 'Count whatever is in the log and go on by id.';

-- Bring job_stats_hourly on by at most max_events of the log (and what deleted jobs left), and the hourly sums of steps
-- by about as many. Meant to be called every minute
-- or so; readers do not depend on it, they are only slower the longer it has not been called.
create function public.refresh_job_statistics(max_events integer default 50000)
returns public.statistics_refresh
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    perform private.require_range('max_events', max_events, 1, 1000000);
    return private.count_status_events(max_events);
end;
$$;
comment on function public.refresh_job_statistics is
    'Count events and sum steps that are not yet; says how many events, and whether there is more. Backends only.';
grant execute on function public.refresh_job_statistics to authenticated, service_role;

-- What is not counted yet, of whoever may see it: backends. They alone see the cursor.
create function private.uncounted_job_stats()
returns setof public.job_stats_hourly
language plpgsql
stable
set search_path = ''
as $$
declare
    place private.job_stats_cursor;
begin
    select * into place from private.job_stats_cursor;
    if found then
        return query select * from private.status_sums(place.xid, place.id);
    end if;
end;
$$;
comment on function private.uncounted_job_stats is 'What the log would add to job_stats_hourly now.';
grant execute on function private.uncounted_job_stats to authenticated, service_role;

-- The statistics as they are now; an hour and format may have two rows.
create view private.job_stats with (security_invoker = true) as
select * from public.job_stats_hourly
union all
select * from private.uncounted_job_stats();
comment on view private.job_stats is 'job_stats_hourly with what is not counted yet.';
grant select on private.job_stats to authenticated, service_role;

-- Jobs ---------------------------------------------------------------------------------------

-- What whoever sees a job may know of the claim on it; the worker's name is for backends. Definer: others see no claims.
create function private.claim_on(job_id uuid)
returns table (worker text, heartbeat_at timestamptz, lease_expires_at timestamptz)
language sql
stable
strict
rows 1
security definer
set search_path = ''
as $$
    select case when private.is_service() then claims.worker end, claims.heartbeat_at, claims.lease_expires_at
    from public.job_claims as claims
    where claims.job_id = claim_on.job_id and claims.ended_at is null;
$$;
comment on function private.claim_on is 'What whoever sees a job may know of the claim on it.';
grant execute on function private.claim_on to anon, authenticated, service_role;

-- Each figure is found by the job's id when a job is asked for, so one job costs one job.
create view public.job_summary with (security_invoker = true) as
select
    jobs.id,
    jobs.user_id,
    jobs.client_ip,
    jobs.status,
    jobs.is_terminal,
    jobs.output_format,
    jobs.width,
    jobs.height,
    jobs.fps,
    jobs.priority,
    jobs.progress_percentage,
    jobs.current_step,
    jobs.estimated_duration,
    jobs.actual_duration,
    jobs.output_url,
    jobs.output_size,
    jobs.error_code,
    jobs.error_message,
    jobs.metadata,
    jobs.retry_count,
    jobs.rescue_count,
    jobs.created_at,
    jobs.updated_at,
    jobs.started_at,
    jobs.finished_at,
    runs.attempts,
    runs.waited_seconds,
    runs.processed_seconds,
    parts.elements,
    parts.elements_pending,
    parts.elements_downloaded,
    parts.elements_processed,
    parts.elements_failed,
    steps.steps,
    steps.steps_open,
    steps.steps_completed,
    steps.steps_failed,
    stored.storage_operations,
    stored.storage_failures,
    stored.bytes_uploaded,
    stored.bytes_downloaded
from public.jobs
cross join lateral (
    select
        count(*) filter (where phase.status = 'processing') as attempts,
        coalesce(sum(phase.seconds) filter (where phase.status = 'pending'), 0) as waited_seconds,
        coalesce(sum(phase.seconds) filter (where phase.status = 'processing'), 0) as processed_seconds
    from (
        select
            events.status,
            greatest(0, extract(
                epoch from coalesce(lead(events.created_at) over (order by events.seq), now()) - events.created_at
            )) as seconds
        from public.job_events as events
        where events.job_id = jobs.id and events.type in ('job.created', 'job.status')
    ) as phase
) as runs
cross join lateral (
    select
        count(*) as elements,
        count(*) filter (where elements.processing_state = 'pending') as elements_pending,
        count(*) filter (where elements.processing_state = 'downloaded') as elements_downloaded,
        count(*) filter (where elements.processing_state = 'processed') as elements_processed,
        count(*) filter (where elements.processing_state = 'failed') as elements_failed
    from public.elements where elements.job_id = jobs.id
) as parts
cross join lateral (
    select
        count(*) as steps,
        count(*) filter (where timeline.success is null) as steps_open,
        count(*) filter (where timeline.success) as steps_completed,
        count(*) filter (where not timeline.success) as steps_failed
    from public.processing_timeline as timeline where timeline.job_id = jobs.id
) as steps
cross join lateral (
    select
        count(*) as storage_operations,
        count(*) filter (where not operations.success) as storage_failures,
        coalesce(sum(operations.file_size) filter (where operations.success and operations.operation = 'upload'), 0)
            as bytes_uploaded,
        coalesce(sum(operations.file_size) filter (where operations.success and operations.operation = 'download'), 0)
            as bytes_downloaded
    from public.storage_operations as operations where operations.job_id = jobs.id
) as stored;
comment on view public.job_summary is 'A job with the counts of all that belongs to it.';
comment on column public.job_summary.attempts is 'How often the job began to be processed.';
comment on column public.job_summary.waited_seconds is
    'How long it has waited, over all attempts; delays of retries and pauses are part of it.';
comment on column public.job_summary.processed_seconds is 'How long it has been processed, over all attempts.';
grant select on public.job_summary to anon, authenticated, service_role;

create view public.job_status_realtime with (security_invoker = true) as
select
    id, user_id, status, is_terminal, progress_percentage, current_step, error_code, error_message, event_seq,
    created_at, started_at, finished_at, updated_at
from public.jobs;
comment on view public.job_status_realtime is
    'What is shown of a job while it is watched; event_seq is where watching goes on.';
grant select on public.job_status_realtime to anon, authenticated, service_role;

-- As small as there are jobs to do, however many have ended.
create index jobs_active on public.jobs (created_at, id) where finished_at is null;

-- Jobs that wait or are processed. That a job has not ended is asked by finished_at: a comparison of statuses is not
-- leakproof, so with row-level security it could not use an index.
create view public.active_jobs with (security_invoker = true) as
with limits as materialized (
    select
        private.number_setting('stalled_after_seconds') as stalled_after,
        private.number_setting('slow_after_seconds') as slow_after,
        private.number_setting('slow_factor') as slow_factor,
        private.number_setting('slow_wait_seconds') as slow_wait
)
select
    jobs.id,
    jobs.user_id,
    jobs.status,
    jobs.output_format,
    jobs.priority,
    jobs.progress_percentage,
    jobs.current_step,
    jobs.estimated_duration,
    jobs.retry_count,
    jobs.rescue_count,
    jobs.created_at,
    jobs.available_at,
    jobs.paused_at,
    jobs.started_at,
    jobs.updated_at,
    claim.worker,
    claim.heartbeat_at,
    claim.lease_expires_at,
    case when jobs.status = 'pending' then greatest(0, extract(epoch from now() - jobs.available_at)) end
        as waiting_seconds,
    case when jobs.status = 'processing' then greatest(0, extract(epoch from now() - jobs.started_at)) end
        as running_seconds,
    case
        when jobs.status = 'pending' then case
            when jobs.paused_at is null and extract(epoch from now() - jobs.available_at) > limits.slow_wait then 'slow'
            else 'healthy'
        end
        when claim.lease_expires_at <= now() then 'stalled'
        when claim.lease_expires_at is null and extract(epoch from now() - jobs.updated_at) > limits.stalled_after
            then 'stalled'
        when extract(epoch from now() - jobs.started_at) > least(
            limits.slow_after, limits.slow_factor * jobs.estimated_duration
        ) then 'slow'
        else 'healthy'
    end as processing_health
from limits
cross join public.jobs
left join lateral private.claim_on(case when jobs.status = 'processing' then jobs.id end) as claim on true
where jobs.finished_at is null;
comment on view public.active_jobs is 'Jobs that wait or are processed, and how they fare: healthy, slow or stalled.';
comment on column public.active_jobs.worker is 'Who has claimed the job; for backends only.';
comment on column public.active_jobs.processing_health is
    'stalled: the lease has run out, or without one nothing happens. slow: waits or is processed for too long.';
grant select on public.active_jobs to anon, authenticated, service_role;

create view public.queue_overview with (security_invoker = true) as
select
    priority,
    output_format,
    count(*) filter (where status = 'pending' and paused_at is null and available_at <= now()) as waiting,
    count(*) filter (where status = 'pending' and paused_at is null and available_at > now()) as scheduled,
    count(*) filter (where status = 'pending' and paused_at is not null) as paused,
    count(*) filter (where status = 'processing') as running,
    min(available_at) filter (where status = 'pending' and paused_at is null) as oldest_available_at
from public.jobs
where finished_at is null
group by priority, output_format;
comment on view public.queue_overview is 'Jobs that wait or are processed, by priority and format.';
grant select on public.queue_overview to authenticated, service_role;

-- What was done over time, from the summary ---------------------------------------------------

-- Success is among the jobs that ended by themselves: one that was called off neither succeeded nor failed.
create view public.daily_job_stats with (security_invoker = true) as
select
    (hour at time zone 'UTC')::date as day,
    sum(created)::bigint as created,
    sum(started)::bigint as started,
    sum(completed)::bigint as completed,
    sum(failed)::bigint as failed,
    sum(cancelled)::bigint as cancelled,
    sum(timeout)::bigint as timeout,
    sum(retried)::bigint as retried,
    sum(released)::bigint as released,
    private.percent(sum(completed), sum(completed + failed + timeout)) as success_rate,
    round(sum(processing_seconds) / nullif(sum(completed), 0), 3) as mean_processing_seconds,
    (private.percentiles(array_agg(processing_times), array[0.5]))[1] as p50_processing_seconds,
    (private.percentiles(array_agg(processing_times), array[0.95]))[1] as p95_processing_seconds,
    round(sum(waiting_seconds) / nullif(sum(started), 0), 3) as mean_waiting_seconds,
    sum(lost_seconds) as lost_seconds,
    sum(output_bytes)::bigint as output_bytes,
    sum(output_seconds) as output_seconds
from private.job_stats
group by (hour at time zone 'UTC')::date;
comment on view public.daily_job_stats is 'What happened to jobs, by day (UTC). Backends only.';
comment on column public.daily_job_stats.success_rate is 'Percent that completed, of those that did, failed or timed out.';
comment on column public.daily_job_stats.p50_processing_seconds is 'Right to within a tenth, like p95.';
grant select on public.daily_job_stats to authenticated, service_role;

create view public.hourly_throughput with (security_invoker = true) as
select
    hour,
    sum(created)::bigint as created,
    sum(started)::bigint as started,
    sum(completed)::bigint as completed,
    sum(failed)::bigint as failed,
    sum(cancelled)::bigint as cancelled,
    sum(timeout)::bigint as timeout,
    sum(retried)::bigint as retried,
    private.percent(sum(completed), sum(completed + failed + timeout)) as success_rate,
    round(sum(processing_seconds) / nullif(sum(completed), 0), 3) as mean_processing_seconds,
    (private.percentiles(array_agg(processing_times), array[0.95]))[1] as p95_processing_seconds,
    round(sum(waiting_seconds) / nullif(sum(started), 0), 3) as mean_waiting_seconds,
    sum(output_bytes)::bigint as output_bytes
from private.job_stats
group by hour;
comment on view public.hourly_throughput is 'What happened to jobs, by hour. Backends only.';
grant select on public.hourly_throughput to authenticated, service_role;

-- What was done lately, from the tables -------------------------------------------------------

create view public.storage_performance with (security_invoker = true) as
select
    operation,
    bucket,
    count(*) as operations,
    count(*) filter (where not success) as failures,
    private.percent(count(*) filter (where not success), count(*)) as failure_rate,
    coalesce(sum(file_size) filter (where success), 0) as bytes,
    round(avg(duration_ms) filter (where success), 3) as mean_duration_ms,
    (percentile_cont(0.5) within group (order by duration_ms) filter (where success))::numeric as p50_duration_ms,
    (percentile_cont(0.95) within group (order by duration_ms) filter (where success))::numeric as p95_duration_ms,
    round(
        1000 * sum(file_size) filter (where success and duration_ms is not null)
        / nullif(sum(duration_ms) filter (where success and file_size is not null), 0),
        3
    ) as mean_bytes_per_second,
    max(created_at) as last_at
from public.storage_operations
where created_at >= private.recent_since()
group by operation, bucket;
comment on view public.storage_performance is
    'How storage operations of the last days (setting recent_days) went, by kind and bucket.';
comment on column public.storage_performance.mean_bytes_per_second is 'Of operations whose size and duration are known.';
grant select on public.storage_performance to authenticated, service_role;

-- Hourly sums ---------------------------------------------------------------------------------

-- Of what has no log of events to be counted from: rows that come with a time, mostly that of the clock. Whole hours are
-- summed once they can get no more rows, which takes two hours and more; what is younger is read from the rows.

create table private.hourly_sums (
    name text primary key,
    summed_until timestamptz not null default '-infinity',
    due_until timestamptz,
    due_xid xid8,
    constraint hourly_sums_due_is_whole check ((due_until is null) = (due_xid is null))
);
alter table private.hourly_sums enable row level security;
comment on table private.hourly_sums is 'How far what is summed by the hour is summed.';
comment on column private.hourly_sums.summed_until is 'Hours before this are in the sums, and are not read from the rows.';
comment on column private.hourly_sums.due_until is
    'Hours before this can be summed when no transaction before due_xid is open: they ended two hours before that one began.';
grant select on private.hourly_sums to authenticated, service_role;
create policy "Backends see how far it is summed" on private.hourly_sums
    for select to authenticated using ((select private.is_service()));
insert into private.hourly_sums (name) values ('steps');

-- Up to where hours can be summed now; null while there is nothing to do, or while somebody else sums, or adds rows to hours
-- that are summed: then the next call does it. Locks the place for this transaction. Whoever writes a row less than an hour
-- after its time has its transaction's number before the hour is due; whoever writes it later asks private.late_until.
create function private.due_until(name text)
returns timestamptz
language plpgsql
set search_path = ''
as $$
declare
    -- Of this transaction, or earlier: those that begin later write no rows of these hours.
    last_hour timestamptz := date_trunc('hour', now(), 'UTC') - interval '2 hours';
    place private.hourly_sums;
begin
    select * into place from private.hourly_sums as sums where sums.name = due_until.name for update skip locked;
    if place.summed_until < last_hour and (
        place.due_until is null or place.due_until = place.summed_until
        -- The number is of another cluster, from which the database was restored.
        or place.due_xid > pg_current_xact_id()
    ) then
        update private.hourly_sums as sums set due_until = last_hour, due_xid = pg_current_xact_id()
        where sums.name = place.name
        returning * into place;
    end if;
    if place.due_until > place.summed_until and place.due_xid <= pg_snapshot_xmin(pg_current_snapshot()) then
        return place.due_until;
    end if;
    return null;
end;
$$;
comment on function private.due_until is 'Up to where hours can be summed now. For definers below.';

-- Rows before this came too late to be summed with their hour: whoever writes them adds them to the sums. It stays until the
-- end of the transaction.
create function private.late_until(name text)
returns timestamptz
language sql
set search_path = ''
as $$
    select summed_until from private.hourly_sums as sums where sums.name = late_until.name for share;
$$;
comment on function private.late_until is 'Rows before this are too late to be summed with their hour. For definers below.';

-- The part of a time range that the sums of whole hours cover; empty (both null) where there is none.
create function private.summed_part(
    name text, from_time timestamptz, to_time timestamptz, out first_hour timestamptz, out end_hour timestamptz
)
language plpgsql
stable
set search_path = ''
as $$
begin
    first_hour := date_trunc('hour', from_time + interval '1 hour' - interval '1 microsecond', 'UTC');
    end_hour := least(
        date_trunc('hour', to_time, 'UTC'),
        (select summed_until from private.hourly_sums as sums where sums.name = summed_part.name)
    );
    if end_hour > first_hour then
        return;
    end if;
    first_hour := null;
    end_hour := null;
end;
$$;
comment on function private.summed_part is 'The part of a time range that hourly sums cover. For definers below.';

-- Steps --------------------------------------------------------------------------------------

create index processing_timeline_completed on public.processing_timeline (completed_at);

create table private.step_stats_hourly (
    hour timestamptz not null,
    step public.processing_step not null,
    completed bigint not null,
    failures bigint not null,
    duration_ms numeric not null,
    cpu_usage numeric not null,
    cpu_measured bigint not null,
    peak_memory_usage bigint,
    durations integer[] not null,
    primary key (hour, step),
    constraint step_stats_hourly_histogram check (cardinality(durations) = 96)
);
alter table private.step_stats_hourly enable row level security;
comment on table private.step_stats_hourly is
    'The steps that ended in an hour. It outlives them: a step counts after its job is deleted, once its hour is summed.';
comment on column private.step_stats_hourly.cpu_usage is 'The sum, of as many as cpu_measured says.';
comment on column private.step_stats_hourly.durations is 'How many took how long: private.histogram.';
grant select on private.step_stats_hourly to authenticated, service_role;
create policy "Backends see statistics of steps" on private.step_stats_hourly
    for select to authenticated using ((select private.is_service()));

-- What the steps that ended in a time range, or those of them that are named, add to step_stats_hourly, is added.
create function private.add_steps(from_time timestamptz, to_time timestamptz, ids uuid[] default null)
returns void
language plpgsql
set search_path = ''
as $$
begin
    insert into private.step_stats_hourly as kept
    select
        date_trunc('hour', timeline.completed_at, 'UTC') as hour,
        timeline.step,
        count(*),
        count(*) filter (where not timeline.success),
        sum(timeline.duration_ms),
        coalesce(sum(timeline.cpu_usage), 0),
        count(timeline.cpu_usage),
        max(timeline.memory_usage),
        private.histogram(array_agg(timeline.duration_ms))
    from public.processing_timeline as timeline
    where timeline.completed_at >= from_time and timeline.completed_at < to_time
        and (ids is null or timeline.id = any (ids))
    group by 1, 2
    order by 1, 2
    on conflict on constraint step_stats_hourly_pkey do update set
        completed = kept.completed + excluded.completed,
        failures = kept.failures + excluded.failures,
        duration_ms = kept.duration_ms + excluded.duration_ms,
        cpu_usage = kept.cpu_usage + excluded.cpu_usage,
        cpu_measured = kept.cpu_measured + excluded.cpu_measured,
        peak_memory_usage = greatest(kept.peak_memory_usage, excluded.peak_memory_usage),
        durations = private.histograms_added(kept.durations, excluded.durations);
end;
$$;
comment on function private.add_steps is 'Add steps that ended to step_stats_hourly. For definers below.';

-- Sum the hours that are due, some of about max_rows steps; whether there are more. For the definer above.
create function private.sum_steps(max_rows integer)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    due timestamptz := private.due_until('steps');
    since timestamptz;
    upto timestamptz;
begin
    if due is null then
        return false;
    end if;
    select summed_until into since from private.hourly_sums where name = 'steps';
    select least(due, date_trunc('hour', timeline.completed_at, 'UTC') + interval '1 hour') into upto
    from public.processing_timeline as timeline
    where timeline.completed_at >= since
    order by timeline.completed_at
    offset max_rows limit 1;
    upto := coalesce(upto, due);
    perform private.add_steps(since, upto);
    update private.hourly_sums set summed_until = upto where name = 'steps';
    return upto < due;
end;
$$;
comment on function private.sum_steps is 'Sum the hours of steps that are due.';

-- Steps that are written down long after they ended, by hand: where their hour is summed, they are added to it. Definer:
-- nobody writes the sums otherwise.
create function private.processing_timeline_add_late()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    late uuid[];
begin
    if tg_op = 'INSERT' then
        late := array(
            select ended.id from ended where ended.completed_at < clock_timestamp() - interval '1 hour'
        );
    else
        late := array(
            select ended.id from ended join present using (id)
            where present.completed_at is null and ended.completed_at < clock_timestamp() - interval '1 hour'
        );
    end if;
    if late <> '{}' then
        perform private.add_steps('-infinity', private.late_until('steps'), late);
    end if;
    return null;
end;
$$;
comment on function private.processing_timeline_add_late is 'Trigger: adds steps to hours that are summed already.';

create trigger c_add_late after insert on public.processing_timeline
    referencing new table as ended
    for each statement execute function private.processing_timeline_add_late();
create trigger c_add_late_change after update on public.processing_timeline
    referencing old table as present new table as ended
    for each statement execute function private.processing_timeline_add_late();

create type private.step_figures as (
    step public.processing_step,
    completed bigint,
    failures bigint,
    failure_rate numeric,
    mean_duration_ms numeric,
    p50_duration_ms numeric,
    p95_duration_ms numeric,
    mean_cpu_usage numeric,
    peak_memory_usage bigint
);
comment on type private.step_figures is 'How steps went.';

-- How the steps that ended in a time range went, for backends; nothing for others. Percentiles are exact as long as nothing
-- of the range is summed. Definer: row-level security would ask of each step whether its job is the caller's.
create function private.steps_between(from_time timestamptz, to_time timestamptz)
returns setof private.step_figures
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    part record;
begin
    if not private.is_service() then
        return;
    end if;
    part := private.summed_part('steps', from_time, to_time);
    return query
        with summed as (
            select
                sums.step,
                sum(sums.completed) as completed,
                sum(sums.failures) as failures,
                sum(sums.duration_ms) as duration_ms,
                sum(sums.cpu_usage) as cpu_usage,
                sum(sums.cpu_measured) as cpu_measured,
                max(sums.peak_memory_usage) as peak_memory_usage,
                array_agg(sums.durations) as durations
            from private.step_stats_hourly as sums
            where sums.hour >= part.first_hour and sums.hour < part.end_hour
            group by sums.step
        ),
        -- What lies before the whole hours, and after them; or all of it.
        rows as (
            select * from public.processing_timeline as timeline
            where timeline.completed_at >= steps_between.from_time
                and timeline.completed_at < coalesce(part.first_hour, steps_between.to_time)
            union all
            select * from public.processing_timeline as timeline
            where timeline.completed_at >= part.end_hour and timeline.completed_at < steps_between.to_time
        ),
        read as (
            select
                rows.step,
                count(*) as completed,
                count(*) filter (where not rows.success) as failures,
                sum(rows.duration_ms) as duration_ms,
                sum(rows.cpu_usage) as cpu_usage,
                count(rows.cpu_usage) as cpu_measured,
                max(rows.memory_usage) as peak_memory_usage,
                percentile_cont(array[0.5, 0.95]) within group (order by rows.duration_ms) as percentiles,
                case when part.first_hour is not null then array_agg(rows.duration_ms) end as durations
            from rows
            group by rows.step
        ),
        together as (
            select
                step,
                coalesce(summed.completed, 0) + coalesce(read.completed, 0) as completed,
                coalesce(summed.failures, 0) + coalesce(read.failures, 0) as failures,
                coalesce(summed.duration_ms, 0) + coalesce(read.duration_ms, 0) as duration_ms,
                coalesce(summed.cpu_usage, 0) + coalesce(read.cpu_usage, 0) as cpu_usage,
                coalesce(summed.cpu_measured, 0) + coalesce(read.cpu_measured, 0) as cpu_measured,
                greatest(summed.peak_memory_usage, read.peak_memory_usage) as peak_memory_usage,
                case
                    when summed.step is null then read.percentiles::numeric[]
                    else private.percentiles(
                        summed.durations || private.histogram(read.durations), array[0.5, 0.95]
                    )
                end as percentiles,
                case when summed.step is null then 1 else 1000 end as in_ms
            from summed full join read using (step)
        )
        select
            together.step,
            together.completed::bigint,
            together.failures::bigint,
            private.percent(together.failures, together.completed),
            round(together.duration_ms / together.completed, 3),
            together.percentiles[1] * together.in_ms,
            together.percentiles[2] * together.in_ms,
            round(together.cpu_usage / nullif(together.cpu_measured, 0), 2),
            together.peak_memory_usage
        from together
        order by together.step;
end;
$$;
comment on function private.steps_between is 'How the steps that ended in a time range went, for backends.';
grant execute on function private.steps_between to authenticated, service_role;

create view public.step_performance with (security_invoker = true) as
select * from private.steps_between(private.recent_since(), 'infinity')
union all
select
    step,
    count(*) as completed,
    count(*) filter (where not success) as failures,
    private.percent(count(*) filter (where not success), count(*)) as failure_rate,
    round(avg(duration_ms), 3) as mean_duration_ms,
    (percentile_cont(0.5) within group (order by duration_ms))::numeric as p50_duration_ms,
    (percentile_cont(0.95) within group (order by duration_ms))::numeric as p95_duration_ms,
    round(avg(cpu_usage), 2) as mean_cpu_usage,
    max(memory_usage) as peak_memory_usage
from public.processing_timeline
where completed_at >= private.recent_since() and not (select private.is_service())
group by step;
comment on view public.step_performance is 'How the steps that ended in the last days (setting recent_days) went.';
comment on column public.step_performance.p50_duration_ms is
    'For backends, right to within a tenth, like p95, of steps of 16 ms to 3 days; exact for others.';
comment on column public.step_performance.mean_cpu_usage is 'Percent of one core.';
comment on column public.step_performance.peak_memory_usage is 'The most that one step took, in bytes.';
grant select on public.step_performance to authenticated, service_role;

create view public.error_summary with (security_invoker = true) as
select
    error_code,
    status,
    count(*) as jobs,
    count(distinct user_id) as users,
    min(finished_at) as first_at,
    max(finished_at) as last_at,
    (array_agg(id order by finished_at desc, id desc))[1] as last_job_id,
    (array_agg(error_message order by finished_at desc, id desc))[1] as last_error_message
from public.jobs
where finished_at >= private.recent_since() and status in ('failed', 'timeout')
group by error_code, status;
comment on view public.error_summary is 'Why jobs failed or timed out in the last days (setting recent_days).';
grant select on public.error_summary to authenticated, service_role;

create view public.client_activity with (security_invoker = true) as
select
    user_id,
    client_ip,
    count(*) as jobs,
    count(*) filter (where not is_terminal) as active,
    count(*) filter (where status = 'completed') as completed,
    count(*) filter (where status in ('failed', 'timeout')) as failed,
    count(*) filter (where status = 'cancelled') as cancelled,
    coalesce(sum(output_size), 0) as output_bytes,
    min(created_at) as first_job_at,
    max(created_at) as last_job_at
from public.jobs
where created_at >= private.recent_since()
group by user_id, client_ip;
comment on view public.client_activity is
    'Who created jobs in the last days (setting recent_days), and what became of them.';
grant select on public.client_activity to authenticated, service_role;

create view public.element_processing with (security_invoker = true) as
select
    type,
    source_kind,
    count(*) as elements,
    count(*) filter (where processing_state = 'pending') as pending,
    count(*) filter (where processing_state = 'downloaded') as downloaded,
    count(*) filter (where processing_state = 'processed') as processed,
    count(*) filter (where processing_state = 'failed') as failed,
    private.percent(
        count(*) filter (where processing_state = 'failed'),
        count(*) filter (where processing_state in ('processed', 'failed'))
    ) as failure_rate,
    coalesce(sum(source_size), 0) as source_bytes
from public.elements
where created_at >= private.recent_since()
group by type, source_kind;
comment on view public.element_processing is
    'What became of the elements of the last days (setting recent_days), by type and kind of source.';
comment on column public.element_processing.failure_rate is 'Percent that failed, of those that were processed or failed.';
grant select on public.element_processing to authenticated, service_role;

-- Claims that ended lately; those that have not are found by their own indexes.
create index job_claims_ended on public.job_claims (ended_at) where ended_at is not null;

create view public.worker_activity with (security_invoker = true) as
select
    worker,
    count(*) filter (where ended_at is null) as running,
    count(*) filter (where ended_at is null and lease_expires_at <= now()) as expired,
    count(*) filter (where outcome = 'completed') as completed,
    count(*) filter (where outcome in ('failed', 'retried')) as failed,
    count(*) filter (where outcome = 'rescued') as rescued,
    count(*) filter (where outcome in ('released', 'cancelled', 'timeout')) as stopped,
    -- The end of a claim is the worker's doing only where it said so.
    max(case when outcome in ('completed', 'failed', 'retried', 'released') then ended_at else heartbeat_at end)
        as last_seen_at
from public.job_claims
where ended_at is null or ended_at >= now() - interval '1 hour'
group by worker;
comment on view public.worker_activity is
    'Workers that have claims, or had some within the hour, and how those ended. Backends only.';
comment on column public.worker_activity.expired is 'Of those running, how many leases have run out.';
comment on column public.worker_activity.rescued is 'How many were taken from it because it fell silent.';
grant select on public.worker_activity to authenticated, service_role;

create view public.latest_metrics with (security_invoker = true) as
select metrics.metric, metrics.labels, metrics.value, metrics.unit, metrics.recorded_at, states.state
from public.get_latest_metrics() as metrics
left join private.metric_states as states on states.metric = metrics.metric and states.labels = metrics.labels;
comment on view public.latest_metrics is
    'The newest value of each series of metrics, and its state where the metric has a threshold. Backends only.';
grant select on public.latest_metrics to authenticated, service_role;

-- Reports ------------------------------------------------------------------------------------

-- The time range of a report, half open, by default the last 30 days.
create function private.report_range(inout from_time timestamptz, inout to_time timestamptz)
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_moment('from_time', from_time);
    perform private.require_moment('to_time', to_time);
    to_time := coalesce(to_time, greatest(now(), from_time + interval '1 hour'));
    from_time := coalesce(from_time, to_time - interval '30 days');
    if from_time >= to_time then
        perform private.refuse_argument('from_time', 'must be earlier than to_time');
    end if;
    if from_time < to_time - interval '10 years' then
        perform private.refuse_argument('from_time', 'must be at most 10 years before to_time');
    end if;
end;
$$;
comment on function private.report_range is 'The time range of a report, with its missing ends filled in.';
grant execute on function private.report_range to authenticated, service_role;

create type public.job_statistics as (
    from_time timestamptz,
    to_time timestamptz,
    created bigint,
    started bigint,
    completed bigint,
    failed bigint,
    cancelled bigint,
    timeout bigint,
    retried bigint,
    released bigint,
    success_rate numeric,
    mean_processing_seconds numeric,
    p50_processing_seconds numeric,
    p95_processing_seconds numeric,
    p99_processing_seconds numeric,
    mean_waiting_seconds numeric,
    lost_seconds numeric,
    output_bytes bigint,
    output_seconds numeric,
    days public.daily_job_stats[]
);
comment on type public.job_statistics is
    'What happened to jobs in the hours from from_time until before to_time; percentiles are right to within a tenth.';
comment on column public.job_statistics.success_rate is 'Percent that completed, of those that did, failed or timed out.';
comment on column public.job_statistics.lost_seconds is 'Processing of attempts that made no video.';
comment on column public.job_statistics.days is 'The same by day (UTC), of days on which something happened.';

-- What happened to jobs from from_time until before to_time, by default in the last 30 days. The range is widened to
-- whole hours, which the answer names. It counts what happened: a job that failed, was retried and completed counts for
-- both.
create function public.get_job_statistics(from_time timestamptz default null, to_time timestamptz default null)
returns public.job_statistics
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
    statistics public.job_statistics;
begin
    perform private.require_service();
    span := private.report_range(get_job_statistics.from_time, get_job_statistics.to_time);
    statistics.from_time := date_trunc('hour', span.from_time, 'UTC');
    statistics.to_time := date_trunc('hour', span.to_time + interval '1 hour' - interval '1 microsecond', 'UTC');
    with hours as materialized (
        select * from private.job_stats
        where job_stats.hour >= statistics.from_time and job_stats.hour < statistics.to_time
    ),
    figures as (
        select
            (hours.hour at time zone 'UTC')::date as day,
            coalesce(sum(hours.created), 0)::bigint as created,
            coalesce(sum(hours.started), 0)::bigint as started,
            coalesce(sum(hours.completed), 0)::bigint as completed,
            coalesce(sum(hours.failed), 0)::bigint as failed,
            coalesce(sum(hours.cancelled), 0)::bigint as cancelled,
            coalesce(sum(hours.timeout), 0)::bigint as timeout,
            coalesce(sum(hours.retried), 0)::bigint as retried,
            coalesce(sum(hours.released), 0)::bigint as released,
            private.percent(sum(hours.completed), sum(hours.completed + hours.failed + hours.timeout)) as success_rate,
            round(sum(hours.processing_seconds) / nullif(sum(hours.completed), 0), 3) as mean_processing_seconds,
            private.percentiles(array_agg(hours.processing_times), array[0.5, 0.95, 0.99]) as percentiles,
            round(sum(hours.waiting_seconds) / nullif(sum(hours.started), 0), 3) as mean_waiting_seconds,
            coalesce(sum(hours.lost_seconds), 0) as lost_seconds,
            coalesce(sum(hours.output_bytes), 0)::bigint as output_bytes,
            coalesce(sum(hours.output_seconds), 0) as output_seconds
        from hours
        group by grouping sets ((), ((hours.hour at time zone 'UTC')::date))
    )
    select
        statistics.from_time,
        statistics.to_time,
        in_all.created,
        in_all.started,
        in_all.completed,
        in_all.failed,
        in_all.cancelled,
        in_all.timeout,
        in_all.retried,
        in_all.released,
        in_all.success_rate,
        in_all.mean_processing_seconds,
        in_all.percentiles[1],
        in_all.percentiles[2],
        in_all.percentiles[3],
        in_all.mean_waiting_seconds,
        in_all.lost_seconds,
        in_all.output_bytes,
        in_all.output_seconds,
        array(
            select (
                figures.day, figures.created, figures.started, figures.completed, figures.failed, figures.cancelled,
                figures.timeout, figures.retried, figures.released, figures.success_rate, figures.mean_processing_seconds,
                figures.percentiles[1], figures.percentiles[2], figures.mean_waiting_seconds, figures.lost_seconds,
                figures.output_bytes, figures.output_seconds
            )::public.daily_job_stats
            from figures where figures.day is not null order by figures.day
        )
    into statistics
    from figures as in_all
    where in_all.day is null;
    return statistics;
end;
$$;
comment on function public.get_job_statistics is 'What happened to jobs in a time range, in all and by day. Backends only.';
grant execute on function public.get_job_statistics to authenticated, service_role;

-- How the steps that ended from from_time until before to_time went, by default in the last 30 days, in the order of steps.
-- Hours that are summed (by refresh_job_statistics) are not read again; with them percentiles are right to within a tenth.
create function public.get_processing_metrics(from_time timestamptz default null, to_time timestamptz default null)
returns setof public.step_performance
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
begin
    perform private.require_service();
    span := private.report_range(get_processing_metrics.from_time, get_processing_metrics.to_time);
    return query select * from private.steps_between(span.from_time, span.to_time);
end;
$$;
comment on function public.get_processing_metrics is 'How the steps of a time range went. Backends only.';
grant execute on function public.get_processing_metrics to authenticated, service_role;

create type public.job_hour as (
    hour timestamptz,
    created bigint,
    started bigint,
    completed bigint,
    failed bigint,
    cancelled bigint,
    timeout bigint
);
comment on type public.job_hour is 'What happened to jobs in an hour; hourly_throughput says more.';

create type public.system_stats as (
    measured_at timestamptz,
    queue_paused boolean,
    pending bigint,
    waiting bigint,
    scheduled bigint,
    paused bigint,
    processing bigint,
    slow bigint,
    stalled bigint,
    oldest_waiting_seconds numeric,
    workers bigint,
    created_24h bigint,
    completed_24h bigint,
    failed_24h bigint,
    jobs_per_hour numeric,
    success_rate numeric,
    mean_processing_seconds numeric,
    p95_processing_seconds numeric,
    events_per_second numeric,
    uncounted_events bigint,
    uploaded_bytes_24h bigint,
    deleted_bytes_24h bigint,
    produced_bytes bigint,
    database_bytes bigint,
    hours public.job_hour[]
);
comment on type public.system_stats is 'How the platform stands. 24h is the present hour and the 23 before it.';
comment on column public.system_stats.waiting is 'Of those pending, how many could be claimed now.';
comment on column public.system_stats.scheduled is 'Of those pending, how many are to be claimed later.';
comment on column public.system_stats.paused is 'Of those pending, how many are paused.';
comment on column public.system_stats.slow is 'Of those pending or processing.';
comment on column public.system_stats.workers is 'Workers that were heard of in the last five minutes.';
comment on column public.system_stats.failed_24h is 'Jobs that failed or timed out.';
comment on column public.system_stats.jobs_per_hour is 'Jobs that completed, by hour, over the 24 hours.';
comment on column public.system_stats.events_per_second is 'Of the newest 10000 events of the last five minutes.';
comment on column public.system_stats.uncounted_events is 'How far refresh_job_statistics is behind.';
comment on column public.system_stats.produced_bytes is 'Of all videos that were ever finished.';
comment on column public.system_stats.hours is 'The 24 hours, those in which something happened.';

-- How fast the log grows. From its end, so that it costs the same however long the log is.
create function private.events_per_second()
returns numeric
language sql
stable
set search_path = ''
as $$
    select round(
        count(*) / greatest(
            case when count(*) < 10000 then 300 else extract(epoch from now() - min(newest.created_at)) end,
            0.001
        ),
        3
    )
    from (
        select events.created_at from public.job_events as events order by events.id desc limit 10000
    ) as newest
    where newest.created_at >= now() - interval '5 minutes';
$$;
comment on function private.events_per_second is 'How fast the log of events grows.';
grant execute on function private.events_per_second to authenticated, service_role;

-- How the platform stands now: the queue, the workers, the last 24 hours, storage.
create function public.get_system_stats()
returns public.system_stats
language plpgsql
stable
set search_path = ''
as $$
declare
    stats public.system_stats;
    day_ago timestamptz := date_trunc('hour', now(), 'UTC') - interval '23 hours';
begin
    perform private.require_service();
    stats.measured_at := now();
    stats.queue_paused := private.setting('queue_paused') = 'true';
    stats.events_per_second := private.events_per_second();
    stats.database_bytes := pg_database_size(current_database());
    select
        count(*) filter (where jobs.status = 'pending'),
        count(*) filter (where jobs.status = 'pending' and jobs.paused_at is null and jobs.available_at <= now()),
        count(*) filter (where jobs.status = 'pending' and jobs.paused_at is null and jobs.available_at > now()),
        count(*) filter (where jobs.status = 'pending' and jobs.paused_at is not null),
        count(*) filter (where jobs.status = 'processing'),
        count(*) filter (where jobs.processing_health = 'slow'),
        count(*) filter (where jobs.processing_health = 'stalled'),
        max(jobs.waiting_seconds) filter (where jobs.paused_at is null and jobs.available_at <= now())
    into
        stats.pending, stats.waiting, stats.scheduled, stats.paused, stats.processing, stats.slow, stats.stalled,
        stats.oldest_waiting_seconds
    from public.active_jobs as jobs;
    select count(*) into stats.workers
    from public.worker_activity as seen where seen.last_seen_at >= now() - interval '5 minutes';
    with uncounted as materialized (
        select * from private.uncounted_job_stats()
    ),
    lately as materialized (
        select * from public.job_stats_hourly as counted where counted.hour >= day_ago
        union all
        select * from uncounted where uncounted.hour >= day_ago
    )
    select
        (select coalesce(sum(private.event_count(uncounted)), 0) from uncounted),
        (select coalesce(sum(counted.output_bytes), 0) from public.job_stats_hourly as counted)
            + (select coalesce(sum(uncounted.output_bytes), 0) from uncounted),
        array(
            select (
                lately.hour, sum(lately.created), sum(lately.started), sum(lately.completed), sum(lately.failed),
                sum(lately.cancelled), sum(lately.timeout)
            )::public.job_hour
            from lately group by lately.hour order by lately.hour
        ),
        coalesce(sum(lately.created), 0),
        coalesce(sum(lately.completed), 0),
        coalesce(sum(lately.failed + lately.timeout), 0),
        round(coalesce(sum(lately.completed), 0) / 24, 2),
        private.percent(sum(lately.completed), sum(lately.completed + lately.failed + lately.timeout)),
        round(sum(lately.processing_seconds) / nullif(sum(lately.completed), 0), 3),
        (private.percentiles(array_agg(lately.processing_times), array[0.95]))[1]
    into
        stats.uncounted_events, stats.produced_bytes, stats.hours,
        stats.created_24h, stats.completed_24h, stats.failed_24h, stats.jobs_per_hour, stats.success_rate,
        stats.mean_processing_seconds, stats.p95_processing_seconds
    from lately;
    select
        coalesce(sum(done.file_size) filter (where done.operation = 'upload'), 0),
        coalesce(sum(done.file_size) filter (where done.operation = 'delete'), 0)
    into stats.uploaded_bytes_24h, stats.deleted_bytes_24h
    from public.storage_operations as done
    where done.created_at >= now() - interval '24 hours' and done.success;
    return stats;
end;
$$;
comment on function public.get_system_stats is
    'How the platform stands: queue, workers, the last 24 hours, storage. Backends only.';
grant execute on function public.get_system_stats to authenticated, service_role;
