-- Job queue: how workers claim jobs, hold them by a lease, and end, give back or lose them.
--
-- A claim's id is its fencing number: every write of a worker carries it, and one whose claim is over changes nothing.
-- Whatever way a job stops being processed, its claim ends with it.

create table public.job_claims (
    id bigint generated always as identity primary key,
    job_id uuid not null references public.jobs (id) on delete cascade,
    worker text not null,
    claimed_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    lease_expires_at timestamptz not null,
    ended_at timestamptz,
    outcome text,
    error_code text,
    error_message text,
    constraint job_claims_worker_length check (length(worker) between 1 and 200),
    constraint job_claims_outcome_known check (
        outcome in ('completed', 'failed', 'retried', 'released', 'rescued', 'cancelled', 'timeout')
    ),
    constraint job_claims_ended_has_outcome check ((ended_at is null) = (outcome is null))
);
alter table public.job_claims enable row level security;
comment on table public.job_claims is 'Every attempt of a worker at a job: who, since when, until when, how it ended.';
comment on column public.job_claims.id is 'The fencing number that the worker''s writes carry.';
comment on column public.job_claims.lease_expires_at is 'When others may take the job for lost, unless a heartbeat comes before.';
comment on column public.job_claims.outcome is
    'retried: failed, to be tried again. released: given back. rescued: the worker fell silent.';
comment on constraint job_claims_worker_length on public.job_claims is 'must have 1 to 200 characters';

create index job_claims_by_job on public.job_claims (job_id, id);
-- A job has one claim at a time.
create unique index job_claims_one_live on public.job_claims (job_id) where ended_at is null;
create index job_claims_by_expiry on public.job_claims (lease_expires_at) where ended_at is null;
create index job_claims_by_worker on public.job_claims (worker, id);

grant select on public.job_claims to authenticated, service_role;
create policy "Backends see claims" on public.job_claims
    for select to authenticated using ((select private.is_service()));

insert into private.settings (name, form, value, description) values
    ('queue_paused', 'true or false', 'false', 'While true nobody claims anything; what is being rendered goes on.'),
    ('max_running_jobs', 'whole number or null', 'null', 'How many jobs may be claimed at a time in all; null: any number.'),
    ('max_running_jobs_per_user', 'whole number or null', 'null', 'How many jobs of one user may be claimed at a time; null: any number.'),
    ('max_rescues', 'whole number or null', '3', 'How often a job whose worker fell silent is given to another one before it ends in timeout; null: always.'),
    ('retry_delay_seconds', 'number', '10', 'How long a job waits after its first failure, roughly; each further failure doubles it.'),
    ('retry_delay_max_seconds', 'number', '3600', 'How long it waits at most.');

-- The one claim under which a job is being processed, or none.
create function private.live_claim(job_id uuid)
returns public.job_claims
language sql
stable
set search_path = ''
as $$
    select * from public.job_claims as claims where claims.job_id = live_claim.job_id and claims.ended_at is null;
$$;
comment on function private.live_claim is 'The claim under which a job is being processed, or null.';
grant execute on function private.live_claim to authenticated, service_role;

-- Refuse whoever does not hold the live claim of a locked job; a job without one takes writes without a number.
create function private.require_claim(job_id uuid, claim bigint)
returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    live public.job_claims := private.live_claim(job_id);
begin
    if live.id is distinct from claim then
        perform private.fail(
            'lease_lost',
            case
                when claim is null then format('The job is claimed by %s; only that claim''s number writes to it.', live.worker)
                else format('The claim %s is over.', claim)
            end,
            jsonb_build_object('job_id', job_id, 'claim', claim, 'claimed_by', live.worker),
            'Stop working on the job; nothing was changed.'
        );
    end if;
end;
$$;
comment on function private.require_claim is 'Refuse whoever does not hold the live claim of a job.';
grant execute on function private.require_claim to authenticated, service_role;

-- Refuse a length of a lease that is no sensible one.
create function private.require_lease(lease interval)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if lease is null or lease not between interval '1 second' and interval '1 day' then
        perform private.refuse_argument('lease', 'must be 1 second to 1 day');
    end if;
end;
$$;
comment on function private.require_lease is 'Refuse a length of a lease that is no sensible one.';
grant execute on function private.require_lease to authenticated, service_role;

-- A job that is processed no longer has no claim. Before the job's own event, which tells of the attempt. What ended it is the status, unless
-- private.end_claim has said so already.
create function private.jobs_end_claim()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.end_claim(
        new.id, case new.status when 'pending' then 'released' else new.status::text end, new.error_code, new.error_message
    );
    return null;
end;
$$;
comment on function private.jobs_end_claim is 'Trigger: ends the claim of a job that is processed no longer.';

create trigger a_end_claim after update of status on public.jobs
    for each row when (old.status = 'processing' and new.status <> 'processing')
    execute function private.jobs_end_claim();

-- End the live claim of a locked job, if it has one.
create function private.end_claim(job_id uuid, outcome text, error_code text, error_message text)
returns void
language sql
security definer
set search_path = ''
as $$
    update public.job_claims as claims set
        ended_at = clock_timestamp(),
        outcome = end_claim.outcome,
        error_code = end_claim.error_code,
        error_message = end_claim.error_message
    where claims.job_id = end_claim.job_id and claims.ended_at is null;
$$;
comment on function private.end_claim is 'End the live claim of a locked job.';
grant execute on function private.end_claim to authenticated, service_role;

-- Claiming -----------------------------------------------------------------------------------

create type public.claimed_job as (
    claim bigint,
    lease_expires_at timestamptz,
    attempt integer,
    job public.jobs
);
comment on type public.claimed_job is 'A job with the number of the claim on it; attempt counts the claims it has had.';

-- Give up to max_jobs waiting jobs to a worker, for the length of a lease: the highest priority first, of one priority
-- the one that is available longest. No job is given to two. First comes back what silent workers have lost, so that one
-- living worker is enough to go on.
create function public.claim_jobs(
    worker text,
    max_jobs integer default 1,
    lease interval default '60 seconds',
    formats text[] default null,
    min_priority integer default null
)
returns setof public.claimed_job
language plpgsql
set search_path = ''
as $$
declare
    taken bigint[];
begin
    perform private.require_service();
    if worker is null or length(worker) not between 1 and 200 then
        perform private.refuse_argument('worker', 'must have 1 to 200 characters');
    end if;
    perform private.require_range('max_jobs', max_jobs, 1, 100);
    perform private.require_lease(lease);
    if not formats <@ array['mp4', 'mov', 'webm', 'gif'] then
        perform private.refuse_argument('formats', 'must be of mp4, mov, webm and gif');
    end if;
    perform private.rescue(100);
    if private.setting('queue_paused') = 'true' then
        return;
    end if;
    -- Apart from the next query, whose view of the jobs would else be the one before.
    taken := array(
        select claims.id
        from private.take_jobs(worker, max_jobs, lease, formats, coalesce(min_priority, -1000)) as claims
    );
    return query
        select
            claims.id,
            claims.lease_expires_at,
            (select count(*)::integer from public.job_claims as all_claims where all_claims.job_id = claims.job_id),
            jobs
        from public.job_claims as claims
        join public.jobs on jobs.id = claims.job_id
        where claims.id = any (taken)
        order by claims.id;
end;
$$;
comment on function public.claim_jobs is 'Give waiting jobs to a worker for the length of a lease. Backends only.';
grant execute on function public.claim_jobs to authenticated, service_role;

-- A job that waits, as far as claiming looks at it.
create type private.waiting_job as (id uuid, user_id uuid, available_at timestamptz);

-- Of the next `reach` jobs of a priority that can be claimed, in order and but for those that were passed, the ones that are not of
-- users who are busy; `seen` is how many there were at all. Format by format, as the index has them. In plpgsql, as what follows,
-- because it keeps its plans.
create function private.jobs_in_line(
    level integer,
    formats text[],
    passed uuid[],
    busy uuid[],
    reach integer,
    out line private.waiting_job[],
    out seen bigint
)
language plpgsql
stable
set search_path = ''
as $$
begin
    with ahead as materialized (
        select first.*
        from unnest(formats) as format,
            lateral (
                select jobs.id, jobs.user_id, jobs.available_at
                from public.jobs
                where jobs.status = 'pending' and jobs.paused_at is null
                    and jobs.output_format = format
                    and jobs.priority = level
                    and jobs.available_at <= now()
                    and jobs.id <> all (passed)
                order by jobs.available_at, jobs.id
                limit reach
            ) as first
        order by first.available_at, first.id
        limit reach
    )
    select
        coalesce(
            array_agg((ahead.id, ahead.user_id, ahead.available_at)::private.waiting_job)
                filter (where ahead.user_id is null or ahead.user_id <> all (busy)),
            '{}'
        ),
        count(*)
    into line, seen
    from ahead;
end;
$$;
comment on function private.jobs_in_line is 'The next jobs of a priority that can be claimed.';

-- The first `most` users who have unfinished jobs: by a step from each to the next in the index, however many jobs they have.
create function private.users_in_line(most integer)
returns setof uuid
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
        with recursive waiting as (
            (
                select jobs.user_id from public.jobs
                where jobs.finished_at is null and jobs.user_id is not null
                order by jobs.user_id limit 1
            )
            union all
            select (
                select jobs.user_id from public.jobs
                where jobs.finished_at is null and jobs.user_id > waiting.user_id
                order by jobs.user_id limit 1
            )
            from waiting where waiting.user_id is not null
        )
        select waiting.user_id from waiting where waiting.user_id is not null limit most;
end;
$$;
comment on function private.users_in_line is 'The users who have unfinished jobs.';

-- The same as jobs_in_line for users who are not busy and for jobs without a user, one user after the other.
create function private.jobs_of_users_in_line(
    level integer,
    formats text[],
    passed uuid[],
    users uuid[],
    of_one_user integer,
    most integer
)
returns setof private.waiting_job
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
        select mine.*
        from unnest(users) as owner, unnest(formats) as format,
            lateral (
                select jobs.id, jobs.user_id, jobs.available_at
                from public.jobs
                where jobs.finished_at is null
                    and jobs.user_id = owner
                    and jobs.status = 'pending' and jobs.paused_at is null
                    and jobs.output_format = format
                    and jobs.priority = level
                    and jobs.available_at <= now()
                    and jobs.id <> all (passed)
                -- That is null, but tells the order of the index.
                order by jobs.paused_at, jobs.available_at, jobs.id
                limit least(of_one_user, most)
            ) as mine
        union all
        select nobodys.*
        from unnest(formats) as format,
            lateral (
                select jobs.id, jobs.user_id, jobs.available_at
                from public.jobs
                where jobs.finished_at is null
                    and jobs.user_id is null
                    and jobs.status = 'pending' and jobs.paused_at is null
                    and jobs.output_format = format
                    and jobs.priority = level
                    and jobs.available_at <= now()
                    and jobs.id <> all (passed)
                order by jobs.user_id, jobs.paused_at, jobs.available_at, jobs.id
                limit most
            ) as nobodys
        order by available_at, id;
end;
$$;
comment on function private.jobs_of_users_in_line is 'The next jobs of a priority that can be claimed, of these users.';

-- How many jobs of each user run, as {user: jobs}.
create function private.running_jobs()
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
    return (
        select coalesce(jsonb_object_agg(running.user_id, running.jobs), '{}')
        from (
            select jobs.user_id, count(*) as jobs
            from public.job_claims join public.jobs on jobs.id = job_claims.job_id
            where job_claims.ended_at is null and jobs.user_id is not null
            group by jobs.user_id
        ) as running
    );
end;
$$;
comment on function private.running_jobs is 'How many jobs of each user run.';

-- Of jobs in line, the first that may run beside those that do: of one user no more than the limit.
create function private.jobs_within_limit(
    line private.waiting_job[],
    running jsonb,
    of_one_user integer,
    most integer
)
returns setof uuid
language plpgsql
stable
set search_path = ''
as $$
begin
    return query
        select job.id
        from (
            select
                waiting.*,
                coalesce((running ->> waiting.user_id::text)::integer, 0)
                    + row_number() over (partition by waiting.user_id order by waiting.available_at, waiting.id) as number
            from unnest(line) as waiting
        ) as job
        where job.user_id is null or job.number <= of_one_user
        order by job.available_at, job.id
        limit most;
end;
$$;
comment on function private.jobs_within_limit is 'Of jobs in line, those that a limit per user lets run.';

-- The claiming itself. Level by level of priority, so that jobs of a higher one that are not available yet are not passed again
-- and again. It looks at the first few jobs of a level; where others hold them, or their users are at the limit, at ever more;
-- and at one user after the other as soon as those are few beside that. So what a claim costs does not grow with the jobs
-- that wait. With a limit on how many jobs run at a time, one claimer counts at a time; without, they only skip each other's
-- rows. Definer: no role writes claims.
create function private.take_jobs(worker text, max_jobs integer, lease interval, formats text[], min_priority integer)
returns setof public.job_claims
language plpgsql
security definer
set search_path = ''
-- To plan its queries anew takes longer than they do.
set plan_cache_mode = 'force_generic_plan'
as $$
declare
    wanted text[] := array(select distinct format from unnest(coalesce(formats, '{mp4,mov,webm,gif}')) as format);
    in_all integer := private.number_setting('max_running_jobs');
    of_one_user integer := private.number_setting('max_running_jobs_per_user');
    level integer := 1001;
    room integer := max_jobs;
    running jsonb;
    busy uuid[] := array[]::uuid[];
    users uuid[];
    reach integer;
    line private.waiting_job[];
    seen bigint;
    chosen uuid[];
    taken uuid[];
    passed uuid[];
begin
    perform private.require_service();
    if coalesce(in_all, of_one_user) is not null then
        perform pg_advisory_xact_lock(hashtext('reelbase: claim jobs'));
        room := least(room, in_all - (select count(*) from public.job_claims where ended_at is null));
    end if;
    while room > 0 loop
        select max(highest.priority) into level
        from unnest(wanted) as format,
            lateral (
                select jobs.priority
                from public.jobs
                where jobs.status = 'pending' and jobs.paused_at is null
                    and jobs.output_format = format
                    and jobs.priority < level and jobs.priority >= min_priority
                order by jobs.priority desc
                limit 1
            ) as highest;
        exit when level is null;
        reach := room;
        passed := '{}';
        loop
            users := null;
            if of_one_user is not null then
                running := private.running_jobs();
                busy := array(select key::uuid from jsonb_each_text(running) where value::integer >= of_one_user);
                -- To look up a user takes about as long as to look at 32 jobs.
                users := array(select private.users_in_line(reach / 32 + 1));
            end if;
            if cardinality(users) <= reach / 32 then
                users := array(select owner from unnest(users) as owner where owner <> all (busy));
                line := array(
                    select job from private.jobs_of_users_in_line(level, wanted, passed, users, of_one_user, room) as job
                );
                seen := 0;
            else
                select found.line, found.seen into line, seen
                from private.jobs_in_line(level, wanted, passed, busy, reach) as found;
            end if;
            chosen := case when of_one_user is null
                then array(select job.id from unnest(line) as job)
                -- More than there is room for, because others may hold some.
                else array(select private.jobs_within_limit(line, running, of_one_user, room * 8))
            end;
            taken := array(
                select jobs.id
                from public.jobs
                where jobs.id = any (chosen)
                    -- Still: somebody may have come before.
                    and jobs.status = 'pending' and jobs.paused_at is null
                    and jobs.priority = level
                    and jobs.available_at <= now()
                order by jobs.available_at, jobs.id
                limit room
                for no key update skip locked
            );
            update public.jobs set status = 'processing' where id = any (taken);
            return query
                insert into public.job_claims (job_id, worker, lease_expires_at)
                select job_id, take_jobs.worker, clock_timestamp() + take_jobs.lease
                from unnest(taken) with ordinality as place (job_id, number)
                order by number
                returning *;
            room := room - cardinality(taken);
            -- All of the level has been seen, and what may run of it is taken.
            exit when room <= 0 or (seen < reach and cardinality(taken) = cardinality(chosen));
            passed := passed || array(select job from unnest(chosen) as job where job <> all (taken));
            reach := least(reach * 8, 1000000);
        end loop;
    end loop;
end;
$$;
comment on function private.take_jobs is 'Claim waiting jobs for a worker.';
grant execute on function private.take_jobs to authenticated, service_role;

-- Holding ------------------------------------------------------------------------------------

create type public.claim_state as (
    claim bigint,
    job_id uuid,
    state text,
    pause_requested boolean,
    lease_expires_at timestamptz
);
comment on type public.claim_state is
    'held; cancelled: the job was called off; lost: the job is no longer the worker''s. pause_requested: give it back soon.';

-- Say that the worker is alive and hold its claims on. The reply says for each what has become of it: stop working on
-- those that are not held, and release those whose pause is asked for.
create function public.heartbeat_jobs(claims bigint[], lease interval default '60 seconds')
returns setof public.claim_state
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    perform private.require_lease(lease);
    if claims is null or cardinality(claims) > 1000 then
        perform private.refuse_argument('claims', 'must be at most 1000 numbers of claims');
    end if;
    perform private.hold_claims(claims, lease);
    return query
        select
            given.id,
            kept.job_id,
            case
                when kept.ended_at is null and kept.id is not null then 'held'
                when kept.outcome = 'cancelled' then 'cancelled'
                else 'lost'
            end,
            kept.ended_at is null and jobs.paused_at is not null,
            case when kept.ended_at is null then kept.lease_expires_at end
        from unnest(claims) with ordinality as given (id, place)
        left join public.job_claims as kept on kept.id = given.id
        left join public.jobs on jobs.id = kept.job_id
        order by given.place;
end;
$$;
comment on function public.heartbeat_jobs is 'Hold claims on; says what has become of each. Backends only.';
grant execute on function public.heartbeat_jobs to authenticated, service_role;

-- Extend the leases of live claims. One that somebody is ending at this moment is passed over, so a heartbeat never waits.
create function private.hold_claims(claims bigint[], lease interval)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    update public.job_claims as kept set
        heartbeat_at = clock_timestamp(),
        lease_expires_at = clock_timestamp() + hold_claims.lease
    where kept.id = any (array(
        select live.id from public.job_claims as live
        where live.id = any (hold_claims.claims) and live.ended_at is null
        for no key update skip locked
    ));
end;
$$;
comment on function private.hold_claims is 'Extend the leases of live claims.';
grant execute on function private.hold_claims to authenticated, service_role;

-- Ending -------------------------------------------------------------------------------------

-- The claimed job is done: the video is there. Said again with the same claim, because the answer was lost, it changes
-- nothing and returns the job.
create function public.complete_job(
    job_id uuid,
    claim bigint,
    output_url text default null,
    output_size bigint default null,
    actual_duration numeric default null,
    s3_bucket text default null,
    s3_key text default null,
    s3_region text default null,
    output_url_expires_at timestamptz default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_number(claim);
    if exists (
        select from public.job_claims as ended
        where ended.id = complete_job.claim and ended.job_id = complete_job.job_id and ended.outcome = 'completed'
    ) then
        return private.visible_job(job_id);
    end if;
    return public.update_job_status(
        job_id => complete_job.job_id,
        status => 'completed',
        output_url => complete_job.output_url,
        output_size => complete_job.output_size,
        actual_duration => complete_job.actual_duration,
        s3_bucket => complete_job.s3_bucket,
        s3_key => complete_job.s3_key,
        s3_region => complete_job.s3_region,
        output_url_expires_at => complete_job.output_url_expires_at,
        claim => complete_job.claim
    );
end;
$$;
comment on function public.complete_job is 'End a claimed job well; returns it. Backends only.';
grant execute on function public.complete_job to authenticated, service_role;

-- Refuse a call of a worker without the number of its claim.
create function private.require_number(claim bigint)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_service();
    if claim is null then
        perform private.refuse_argument('claim', 'is required');
    end if;
end;
$$;
comment on function private.require_number is 'Refuse a call of a worker without the number of its claim.';
grant execute on function private.require_number to authenticated, service_role;

-- How long a job waits after its n-th failure: doubled each time up to a limit, then shortened by up to a half at random, so that jobs that
-- failed together do not come back together.
create function private.retry_delay(failures integer)
returns interval
language sql
volatile
set search_path = ''
as $$
    select make_interval(secs => least(
        private.number_setting('retry_delay_seconds') * 2 ^ least(failures - 1, 30),
        private.number_setting('retry_delay_max_seconds')
    ) * (0.5 + random() / 2));
$$;
comment on function private.retry_delay is 'How long a job waits after its n-th failure.';
grant execute on function private.retry_delay to authenticated, service_role;

-- The attempt at a claimed job failed. It is tried again after a while (`retry_in`, else longer with each failure), unless the
-- failure is not one that passes or its retries are used up: then the job has failed.
create function public.fail_job(
    job_id uuid,
    claim bigint,
    error_code text,
    error_message text,
    error_details jsonb default '{}',
    retryable boolean default true,
    retry_in interval default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_number(claim);
    if retry_in not between interval '0' and interval '30 days' then
        perform private.refuse_argument('retry_in', 'must be 0 to 30 days');
    end if;
    job := private.job_for_work(job_id, claim);
    if not coalesce(retryable, true) or job.retry_count >= job.max_retries then
        return public.update_job_status(
            job_id => job.id, status => 'failed', error_code => fail_job.error_code,
            error_message => fail_job.error_message, error_details => fail_job.error_details, claim => fail_job.claim
        );
    end if;
    -- Words that the job itself could not hold are refused here too.
    perform private.refuse_arguments(problems) from private.row_problems('public.jobs', jsonb_build_object(
        'error_code', error_code, 'error_message', error_message,
        'error_details', coalesce(error_details, '{}')
    )) as problems where problems <> '[]';
    perform private.end_claim(job.id, 'retried', error_code, error_message);
    job.status := 'pending';
    job.retry_count := job.retry_count + 1;
    job.available_at := clock_timestamp() + coalesce(retry_in, private.retry_delay(job.retry_count));
    perform private.keep_job(job);
    return private.visible_job(job.id);
end;
$$;
comment on function public.fail_job is 'End an attempt at a claimed job badly: it waits for another one, or has failed. Backends only.';
grant execute on function public.fail_job to authenticated, service_role;

-- Give a claimed job back, untouched: it waits again, at once, and no retry is counted.
create function public.release_job(job_id uuid, claim bigint)
returns public.jobs
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_number(claim);
    return public.update_job_status(job_id => release_job.job_id, status => 'pending', claim => release_job.claim);
end;
$$;
comment on function public.release_job is 'Give a claimed job back; returns it. Backends only.';
grant execute on function public.release_job to authenticated, service_role;

-- Rescuing -----------------------------------------------------------------------------------

-- Take jobs from workers that fell silent: each waits again, or ends in timeout once that has happened max_rescues times.
-- Skips what is locked, so it neither waits nor deadlocks; a heartbeat that comes first wins. Definer, as take_jobs.
create function private.rescue(max_jobs integer)
returns setof uuid
language plpgsql
security definer
set search_path = ''
as $$
declare
    cap integer := private.number_setting('max_rescues');
    expired record;
    job public.jobs;
begin
    perform private.require_service();
    for expired in
        select claims.job_id
        from public.job_claims as claims
        where claims.ended_at is null and claims.lease_expires_at <= now()
        order by claims.lease_expires_at
        limit rescue.max_jobs
    loop
        select * into job from public.jobs where jobs.id = expired.job_id for no key update skip locked;
        continue when not found;
        perform from public.job_claims as claims
        where claims.job_id = job.id and claims.ended_at is null and claims.lease_expires_at <= clock_timestamp()
        for no key update skip locked;
        continue when not found;
        if cap is null or job.rescue_count < cap then
            perform private.end_claim(job.id, 'rescued', 'worker_lost', 'The worker fell silent.');
            update public.jobs set status = 'pending', rescue_count = job.rescue_count + 1 where id = job.id;
        else
            update public.jobs set
                status = 'timeout',
                error_code = 'worker_lost',
                error_message = format('Workers fell silent on this job %s times.', job.rescue_count + 1)
            where id = job.id;
        end if;
        return next job.id;
    end loop;
end;
$$;
comment on function private.rescue is 'Take jobs from workers that fell silent.';
grant execute on function private.rescue to authenticated, service_role;

-- The same as a call of its own, for a schedule; workers do it with each claim. Returns the jobs.
create function public.rescue_stalled_jobs(max_jobs integer default 100)
returns setof public.jobs
language plpgsql
set search_path = ''
as $$
declare
    rescued uuid[];
begin
    perform private.require_service();
    perform private.require_range('max_jobs', max_jobs, 1, 1000);
    rescued := array(select private.rescue(max_jobs));
    return query select * from public.jobs where id = any (rescued);
end;
$$;
comment on function public.rescue_stalled_jobs is 'Take jobs from workers that fell silent; returns them. Backends only.';
grant execute on function public.rescue_stalled_jobs to authenticated, service_role;

-- Pausing ------------------------------------------------------------------------------------

-- Keep a job from being claimed; the worker that has it is asked, with its next heartbeat, to give it back.
create function public.pause_job(job_id uuid)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    job := private.locked_job(job_id);
    job.paused_at := coalesce(job.paused_at, clock_timestamp());
    perform private.keep_job(job);
    return private.visible_job(job.id);
end;
$$;
comment on function public.pause_job is 'Keep a job from being claimed; returns it. Backends only.';
grant execute on function public.pause_job to authenticated, service_role;

-- Let a paused job be claimed again.
create function public.resume_job(job_id uuid)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    job := private.locked_job(job_id);
    job.paused_at := null;
    perform private.keep_job(job);
    return private.visible_job(job.id);
end;
$$;
comment on function public.resume_job is 'Let a paused job be claimed again; returns it. Backends only.';
grant execute on function public.resume_job to authenticated, service_role;

create type public.queue_state as (
    paused boolean,
    waiting bigint,
    scheduled bigint,
    paused_jobs bigint,
    running bigint,
    expired bigint,
    oldest_available_at timestamptz
);
comment on type public.queue_state is
    'waiting: claimable now; scheduled: available later; running: under a live claim; expired: of those, past their lease.';

-- How the queue stands. Definer, because below a policy Postgres looks no status up in an index.
create function private.queue_state()
returns public.queue_state
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    return (
        select (
            private.setting('queue_paused') = 'true',
            count(*) filter (where jobs.paused_at is null and jobs.available_at <= now()),
            count(*) filter (where jobs.paused_at is null and jobs.available_at > now()),
            count(*) filter (where jobs.paused_at is not null),
            (select count(*) from public.job_claims where ended_at is null),
            (select count(*) from public.job_claims where ended_at is null and lease_expires_at <= now()),
            min(jobs.available_at) filter (where jobs.paused_at is null)
        )::public.queue_state
        from public.jobs where jobs.status = 'pending'
    );
end;
$$;
comment on function private.queue_state is 'How the queue stands. Backends only.';
grant execute on function private.queue_state to authenticated, service_role;

-- How the queue stands.
create function public.get_queue_state()
returns public.queue_state
language sql
stable
set search_path = ''
as $$
    select * from private.queue_state();
$$;
comment on function public.get_queue_state is 'How the queue stands. Backends only.';
grant execute on function public.get_queue_state to authenticated, service_role;

-- Let nobody claim anything until resume_queue; what is being rendered goes on.
create function public.pause_queue()
returns public.queue_state
language plpgsql
set search_path = ''
as $$
begin
    perform private.set_queue_paused(true);
    perform private.audit('queue_paused', null, '{}');
    return public.get_queue_state();
end;
$$;
comment on function public.pause_queue is 'Let nobody claim anything. Admins only.';
grant execute on function public.pause_queue to authenticated, service_role;

-- Let workers claim again.
create function public.resume_queue()
returns public.queue_state
language plpgsql
set search_path = ''
as $$
begin
    perform private.set_queue_paused(false);
    perform private.audit('queue_resumed', null, '{}');
    return public.get_queue_state();
end;
$$;
comment on function public.resume_queue is 'Let workers claim again. Admins only.';
grant execute on function public.resume_queue to authenticated, service_role;

-- Definer: no role of the API writes settings.
create function private.set_queue_paused(paused boolean)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_admin();
    update private.settings set value = to_jsonb(set_queue_paused.paused) where name = 'queue_paused';
end;
$$;
comment on function private.set_queue_paused is 'Pause or resume the queue. Admins only.';
grant execute on function private.set_queue_paused to authenticated, service_role;
