-- Jobs: one video to be rendered, from request to result.

create table public.jobs (
    id uuid primary key default gen_random_uuid(),
    -- No foreign key to auth.users: with third-party auth, users have no row there.
    user_id uuid,
    client_ip inet,
    user_agent text,
    status public.job_status not null default 'pending',
    is_terminal boolean not null generated always as (
        status in ('completed', 'failed', 'cancelled', 'timeout')
    ) stored,
    output_format text not null,
    width integer not null,
    height integer not null,
    fps numeric not null default 30,
    estimated_duration numeric,
    actual_duration numeric,
    response_type public.response_type not null default 'async',
    request_body jsonb not null default '{}',
    metadata jsonb not null default '{}',
    progress_percentage numeric not null default 0,
    current_step public.processing_step,
    output_url text,
    output_size bigint,
    error_code text,
    error_message text,
    error_details jsonb not null default '{}',
    event_seq bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz,
    finished_at timestamptz,
    constraint jobs_output_format_known check (output_format in ('mp4', 'mov', 'webm', 'gif')),
    constraint jobs_width_in_range check (width between 16 and 8192),
    constraint jobs_height_in_range check (height between 16 and 8192),
    constraint jobs_fps_in_range check (fps between 1 and 240),
    constraint jobs_estimated_duration_in_range check (estimated_duration > 0 and estimated_duration <= 86400),
    constraint jobs_user_agent_length check (length(user_agent) <= 1024),
    constraint jobs_actual_duration_in_range check (actual_duration between 0 and 604800),
    constraint jobs_client_ip_is_host check (client_ip = host(client_ip)::inet),
    constraint jobs_metadata_is_object check (private.is_plain_object(metadata, 65536)),
    constraint jobs_request_body_is_object check (private.is_plain_object(request_body, 1048576)),
    constraint jobs_error_details_is_object check (private.is_plain_object(error_details, 65536)),
    constraint jobs_error_only_of_failure check (
        (error_code is null and error_message is null) or status in ('failed', 'cancelled', 'timeout')
    ),
    constraint jobs_progress_in_range check (progress_percentage between 0 and 100),
    constraint jobs_output_size_positive check (output_size >= 0),
    constraint jobs_pending_not_started check ((status = 'pending') <= (started_at is null)),
    constraint jobs_processing_started check ((status in ('processing', 'completed')) <= (started_at is not null)),
    constraint jobs_completed_has_time check ((status = 'completed') = (completed_at is not null)),
    constraint jobs_finished_has_time check (
        (status in ('completed', 'failed', 'cancelled', 'timeout')) = (finished_at is not null)
    )
);
alter table public.jobs enable row level security;

comment on table public.jobs is 'One video to be rendered, from request to result.';
comment on column public.jobs.estimated_duration is 'Expected length of the video in seconds.';
comment on column public.jobs.actual_duration is 'Length of the finished video in seconds.';
comment on column public.jobs.fps is 'Frames per second of the output.';
comment on column public.jobs.output_size is 'Size of the finished video in bytes.';
comment on column public.jobs.event_seq is 'seq of the newest event of this job; the row includes what it tells.';
comment on column public.jobs.is_terminal is 'Whether the job has ended; only a retry changes it again.';
comment on column public.jobs.finished_at is 'When the job ended, however it ended.';
-- These words are what a caller reads when the rule is broken: private.row_problems.
comment on constraint jobs_output_format_known on public.jobs is 'must be mp4, mov, webm or gif';
comment on constraint jobs_width_in_range on public.jobs is 'must be 16 to 8192 pixels';
comment on constraint jobs_height_in_range on public.jobs is 'must be 16 to 8192 pixels';
comment on constraint jobs_fps_in_range on public.jobs is 'must be 1 to 240 frames per second';
comment on constraint jobs_estimated_duration_in_range on public.jobs is 'must be more than 0 and at most 86400 seconds';
comment on constraint jobs_user_agent_length on public.jobs is 'must have at most 1024 characters';
comment on constraint jobs_actual_duration_in_range on public.jobs is 'must be 0 to 604800 seconds';
comment on constraint jobs_client_ip_is_host on public.jobs is 'must be an address without a mask';
comment on constraint jobs_error_only_of_failure on public.jobs is 'belongs to a job that ended other than well';
comment on constraint jobs_metadata_is_object on public.jobs is 'must be a plain JSON object of at most 64 KiB';
comment on constraint jobs_request_body_is_object on public.jobs is 'must be a plain JSON object of at most 1 MiB';
comment on constraint jobs_error_details_is_object on public.jobs is 'must be a plain JSON object of at most 64 KiB';
comment on constraint jobs_progress_in_range on public.jobs is 'must be 0 to 100';
comment on constraint jobs_output_size_positive on public.jobs is 'must not be negative';

create index jobs_newest on public.jobs (created_at desc, id desc);
create index jobs_by_status on public.jobs (status, created_at desc, id desc);
create index jobs_by_user on public.jobs (user_id, created_at desc, id desc);
create index jobs_by_client_ip on public.jobs (client_ip, created_at desc, id desc);

grant select on public.jobs to anon, authenticated, service_role;
grant insert (
    user_id, client_ip, user_agent, output_format, width, height, fps,
    estimated_duration, response_type, request_body, metadata
) on public.jobs to anon, authenticated, service_role;
grant update (
    status, progress_percentage, current_step, actual_duration, output_url, output_size,
    error_code, error_message, error_details
) on public.jobs to authenticated, service_role;

create policy "Anonymous clients see jobs of their address, or watched" on public.jobs
    for select to anon using (
        id = (select private.watched_job())
        or ((select private.watched_job()) is null and user_id is null and client_ip = (select private.client_ip()))
    );
create policy "Users see jobs of their own, or watched; backends see all" on public.jobs
    for select to authenticated using (
        id = (select private.watched_job())
        or ((select private.watched_job()) is null and user_id = (select auth.uid()))
        or (select private.is_service())
    );
create policy "Anonymous clients create jobs under their own address" on public.jobs
    for insert to anon with check (
        user_id is null and client_ip = (select private.client_ip()) and (select private.watched_job()) is null
    );
create policy "Users create jobs of their own, backends for anyone" on public.jobs
    for insert to authenticated with check (
        (select private.is_service())
        or (
            user_id = (select auth.uid())
            and client_ip is not distinct from (select private.client_ip())
            and (select private.watched_job()) is null
        )
    );
create policy "Backends change jobs" on public.jobs
    for update to authenticated using ((select private.is_service()));

-- States ------------------------------------------------------------------------------------

-- The only changes of status there are. Drawn in docs/concepts/states.md.
create table public.job_transitions (
    from_status public.job_status not null,
    to_status public.job_status not null,
    meaning text not null,
    primary key (from_status, to_status),
    constraint job_transitions_change check (from_status <> to_status)
);
alter table public.job_transitions enable row level security;
comment on table public.job_transitions is 'The only changes of status that a job can make.';
grant select on public.job_transitions to anon, authenticated, service_role;
create policy "Everyone may read the rules" on public.job_transitions
    for select to anon, authenticated using (true);

insert into public.job_transitions (from_status, to_status, meaning) values
    ('pending', 'processing', 'A worker took the job.'),
    ('pending', 'cancelled', 'Called off before anyone took it.'),
    ('pending', 'failed', 'Refused before processing, for a request that cannot be rendered.'),
    ('pending', 'timeout', 'Waited too long.'),
    ('processing', 'completed', 'The video is there.'),
    ('processing', 'failed', 'Rendering ended in an error.'),
    ('processing', 'cancelled', 'Called off while being rendered.'),
    ('processing', 'timeout', 'Took too long.'),
    ('processing', 'pending', 'Given back by its worker.'),
    ('failed', 'pending', 'Tried again.'),
    ('timeout', 'pending', 'Tried again.');

-- Enforces job_transitions on every path, and keeps what belongs to a status with it. `old` is the row
-- as the lock found it, so of two sessions that change one job at once the second meets the first's result.
create function private.jobs_change_status()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    allowed public.job_status[];
    moment timestamptz := clock_timestamp();
begin
    select coalesce(array_agg(to_status order by to_status), '{}') into allowed
    from public.job_transitions where from_status = old.status;
    if new.status <> all (allowed) then
        perform private.fail(
            'invalid_transition',
            format('A job that is %s cannot become %s.', old.status, new.status),
            jsonb_build_object('job_id', old.id, 'from', old.status, 'to', new.status, 'allowed', allowed),
            case when cardinality(allowed) = 0
                then 'This status is final. Create a new job.'
                else 'From here it can become ' || array_to_string(allowed, ', ') || '.'
            end
        );
    end if;
    if new.status = 'pending' then
        new.started_at := null;
        new.progress_percentage := 0;
        new.current_step := null;
        new.error_code := null;
        new.error_message := null;
        new.error_details := '{}';
    elsif new.status = 'processing' then
        new.started_at := moment;
    elsif new.status = 'completed' then
        new.progress_percentage := 100;
    end if;
    new.completed_at := case when new.status = 'completed' then moment end;
    new.finished_at := case when new.status not in ('pending', 'processing') then moment end;
    return new;
end;
$$;
comment on function private.jobs_change_status is 'Trigger: allows only the changes in job_transitions.';

create trigger a_change_status before update of status on public.jobs
    for each row when (old.status is distinct from new.status)
    execute function private.jobs_change_status();
create trigger b_touch before update on public.jobs
    for each row execute function private.touch_updated_at();

-- While the status stays: only a job that is being processed makes progress, which never goes back (a report
-- that comes late is taken for its step only), and nothing of a job that has ended changes.
create function private.jobs_keep_rules()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.is_terminal then
        perform private.fail(
            'job_finished',
            format('The job is %s; nothing of it changes any more.', old.status),
            jsonb_build_object('job_id', old.id, 'status', old.status),
            'Retry the job by setting it to pending, where its status allows that.'
        );
    end if;
    if new.progress_percentage is distinct from old.progress_percentage then
        if old.status <> 'processing' then
            perform private.fail(
                'job_not_processing',
                format('The job is %s, so it makes no progress.', old.status),
                jsonb_build_object('job_id', old.id, 'status', old.status),
                'Set the status to processing first.'
            );
        end if;
        if new.progress_percentage between 0 and 100 then
            new.progress_percentage := greatest(new.progress_percentage, old.progress_percentage);
        end if;
    end if;
    return new;
end;
$$;
comment on function private.jobs_keep_rules is 'Trigger: what may change while the status stays.';

create trigger c_keep_rules before update of
    progress_percentage, current_step, actual_duration, output_url, output_size, error_code, error_message, error_details
    on public.jobs
    for each row when (old.status = new.status)
    execute function private.jobs_keep_rules();

-- Helpers -----------------------------------------------------------------------------------

-- A job as the caller may see it, or not_found. A job that exists but is hidden answers the same.
create function private.visible_job(job_id uuid)
returns public.jobs
language plpgsql
stable
set search_path = ''
as $$
declare
    job public.jobs;
begin
    select * into job from public.jobs where jobs.id = visible_job.job_id;
    if not found then
        perform private.fail(
            'not_found',
            format('There is no job %s.', coalesce(visible_job.job_id::text, 'without an id')),
            jsonb_build_object('job_id', visible_job.job_id),
            'Check the id, and that it belongs to the caller.'
        );
    end if;
    return job;
end;
$$;
comment on function private.visible_job is 'The job if the caller may see it, else not_found.';
grant execute on function private.visible_job to anon, authenticated, service_role;

-- Definer: whoever may add to a job need not be allowed to change the job itself. Tells nothing about it.
create function private.lock_job(job_id uuid)
returns void
language sql
security definer
set search_path = ''
as $$
    select from public.jobs where jobs.id = lock_job.job_id for no key update;
$$;
comment on function private.lock_job is 'Lock a job for this transaction.';
grant execute on function private.lock_job to anon, authenticated, service_role;

-- A job that the caller may see, locked until the transaction ends, as it is once locked. Every function that
-- changes a job or what belongs to it begins with this, so that all lock in one order and none deadlocks.
create function private.locked_job(job_id uuid)
returns public.jobs
language plpgsql
set search_path = ''
as $$
begin
    perform private.visible_job(job_id);
    perform private.lock_job(job_id);
    return private.visible_job(job_id);
end;
$$;
comment on function private.locked_job is 'The job, locked, if the caller may see it; else not_found.';
grant execute on function private.locked_job to anon, authenticated, service_role;

-- Functions ---------------------------------------------------------------------------------

-- Create a job. Address and user of a backend's call are its arguments; of anyone else's, what the
-- request itself proves, whatever the arguments say.
create function public.create_job(
    output_format text,
    width integer,
    height integer,
    estimated_duration numeric default null,
    client_ip inet default null,
    user_agent text default null,
    metadata jsonb default '{}',
    fps numeric default 30,
    response_type public.response_type default 'async',
    request_body jsonb default '{}',
    user_id uuid default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    trusted boolean := private.is_service();
    address inet := case when trusted then create_job.client_ip else private.client_ip() end;
    owner uuid := case when trusted then create_job.user_id else auth.uid() end;
    new_id uuid;
begin
    if not trusted and owner is null and address is null then
        perform private.fail(
            'client_unknown',
            'An anonymous job needs the client''s address, and this request carries none.',
            '{}',
            'Sign in, or have the operator set client_ip_header in private.settings to the header the proxy writes.'
        );
    end if;
    insert into public.jobs (
        user_id, client_ip, user_agent, output_format, width, height, fps,
        estimated_duration, response_type, request_body, metadata
    ) values (
        owner, address, create_job.user_agent, create_job.output_format, create_job.width,
        create_job.height, create_job.fps, create_job.estimated_duration, create_job.response_type,
        create_job.request_body, create_job.metadata
    )
    returning id into new_id;
    return private.visible_job(new_id);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.jobs', jsonb_build_object(
            'client_ip', address, 'user_agent', create_job.user_agent, 'output_format', create_job.output_format,
            'width', create_job.width, 'height', create_job.height, 'fps', create_job.fps,
            'estimated_duration', create_job.estimated_duration, 'response_type', create_job.response_type,
            'request_body', create_job.request_body, 'metadata', create_job.metadata
        )), sqlerrm);
        return null;
end;
$$;
comment on function public.create_job is 'Create a job; returns it.';
grant execute on function public.create_job to anon, authenticated, service_role;

-- One job, if the caller may see it.
create function public.get_job(job_id uuid)
returns public.jobs
language sql
stable
set search_path = ''
as $$
    select * from private.visible_job(get_job.job_id);
$$;
comment on function public.get_job is 'One job; not_found when there is none that the caller may see.';
grant execute on function public.get_job to anon, authenticated, service_role;

create type public.job_page as (items public.jobs[], next_cursor text);
comment on type public.job_page is 'One page of jobs; next_cursor is null on the last.';

-- Jobs that the caller may see, newest first, a page at a time. A page starts after the cursor, which is
-- the creation time and id of the last row seen, so rows that arrive meanwhile shift nothing.
create function public.list_jobs(
    status public.job_status[] default null,
    user_id uuid default null,
    client_ip inet default null,
    oldest_first boolean default false,
    page_size integer default 50,
    cursor text default null
)
returns public.job_page
language plpgsql
stable
set search_path = ''
as $$
declare
    after_time timestamptz;
    after_id uuid;
    rows public.jobs[];
    last public.jobs;
begin
    if page_size is null or page_size not between 1 and 500 then
        perform private.refuse_argument('page_size', 'must be 1 to 500');
    end if;
    if cursor is not null then
        begin
            if cursor !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z_[0-9a-f-]{36}$' then
                raise invalid_text_representation;
            end if;
            after_time := split_part(cursor, '_', 1)::timestamptz;
            after_id := split_part(cursor, '_', 2)::uuid;
        exception
            when data_exception then
                perform private.fail('invalid_cursor', 'The cursor was not handed out by this list.',
                    jsonb_build_object('cursor', left(cursor, 100)), 'Start again without a cursor.');
        end;
    end if;
    select array_agg(page.job) into rows from (
        select jobs as job
        from public.jobs
        where (list_jobs.status is null or jobs.status = any (list_jobs.status))
            and (list_jobs.user_id is null or jobs.user_id = list_jobs.user_id)
            and (list_jobs.client_ip is null or jobs.client_ip = list_jobs.client_ip)
            and (
                list_jobs.cursor is null
                or case when list_jobs.oldest_first
                    then (jobs.created_at, jobs.id) > (after_time, after_id)
                    else (jobs.created_at, jobs.id) < (after_time, after_id)
                end
            )
        order by
            case when list_jobs.oldest_first then jobs.created_at end,
            case when list_jobs.oldest_first then jobs.id end,
            jobs.created_at desc,
            jobs.id desc
        -- One more than asked for tells whether there is a next page.
        limit list_jobs.page_size + 1
    ) as page;
    rows := coalesce(rows, '{}');
    if cardinality(rows) <= page_size then
        return (rows, null::text);
    end if;
    last := rows[page_size];
    return (rows[1:page_size], to_char(last.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '_' || last.id);
end;
$$;
comment on function public.list_jobs is 'A page of jobs, newest first unless oldest_first.';
grant execute on function public.list_jobs to anon, authenticated, service_role;

-- Change a job's status, with what belongs to the new one: the error of a failure, the result of a success.
create function public.update_job_status(
    job_id uuid,
    status public.job_status,
    error_code text default null,
    error_message text default null,
    error_details jsonb default null,
    output_url text default null,
    output_size bigint default null,
    actual_duration numeric default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    job := private.locked_job(job_id);
    if status is null then
        perform private.refuse_argument('status', 'is required');
    end if;
    -- The trigger acts on changes; asking for the status a job already has is refused like any other
    -- change that is not in job_transitions, so that of two callers exactly one succeeds.
    if job.status = update_job_status.status then
        perform private.fail(
            'invalid_transition',
            format('The job is already %s.', job.status),
            jsonb_build_object('job_id', job.id, 'from', job.status, 'to', job.status),
            'Another caller came first. Read the job and go on from there.'
        );
    end if;
    update public.jobs set
        status = update_job_status.status,
        error_code = coalesce(update_job_status.error_code, jobs.error_code),
        error_message = coalesce(update_job_status.error_message, jobs.error_message),
        error_details = coalesce(update_job_status.error_details, jobs.error_details),
        output_url = coalesce(update_job_status.output_url, jobs.output_url),
        output_size = coalesce(update_job_status.output_size, jobs.output_size),
        actual_duration = coalesce(update_job_status.actual_duration, jobs.actual_duration)
    where id = update_job_status.job_id;
    return private.visible_job(job_id);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.jobs', jsonb_strip_nulls(jsonb_build_object(
            'status', update_job_status.status, 'error_code', update_job_status.error_code,
            'error_message', update_job_status.error_message, 'error_details', update_job_status.error_details,
            'output_size', update_job_status.output_size, 'actual_duration', update_job_status.actual_duration
        ))), sqlerrm);
        return null;
end;
$$;
comment on function public.update_job_status is 'Change a job''s status; returns the job. Backends only.';
grant execute on function public.update_job_status to authenticated, service_role;

-- Record how far a job is that is being processed.
create function public.update_job_progress(
    job_id uuid,
    progress_percentage numeric,
    current_step public.processing_step default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    job := private.locked_job(job_id);
    if job.status <> 'processing' then
        perform private.fail(
            'job_not_processing',
            format('The job is %s, so it makes no progress.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Set the status to processing first.'
        );
    end if;
    update public.jobs set
        progress_percentage = update_job_progress.progress_percentage,
        current_step = coalesce(update_job_progress.current_step, jobs.current_step)
    where id = update_job_progress.job_id;
    return private.visible_job(job_id);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.jobs', jsonb_build_object(
            'progress_percentage', update_job_progress.progress_percentage
        )), sqlerrm);
        return null;
end;
$$;
comment on function public.update_job_progress is 'Record a job''s progress in percent; it never goes back.';
grant execute on function public.update_job_progress to authenticated, service_role;
