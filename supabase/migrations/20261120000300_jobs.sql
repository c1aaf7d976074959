-- Jobs: one video to be rendered, from request to result.

-- The words of an error, for searching.
create function private.error_words(error_code text, error_message text)
returns tsvector
language sql
immutable
set search_path = ''
as $$
    select to_tsvector('pg_catalog.simple', coalesce(error_code, '') || ' ' || coalesce(error_message, ''));
$$;
comment on function private.error_words is 'The words of an error, for searching.';
grant execute on function private.error_words to anon, authenticated, service_role;

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
    output_url_expires_at timestamptz,
    output_size bigint,
    s3_bucket text,
    s3_key text,
    s3_region text,
    error_code text,
    error_message text,
    error_details jsonb not null default '{}',
    priority integer not null default 0,
    available_at timestamptz not null default now(),
    paused_at timestamptz,
    retry_count integer not null default 0,
    max_retries integer not null default 3,
    rescue_count integer not null default 0,
    idempotency_key text,
    replays integer not null default 0,
    event_seq bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz,
    finished_at timestamptz,
    constraint jobs_output_format_known check (output_format in ('mp4', 'mov', 'webm', 'gif')),
    constraint jobs_width_in_range check (width between 16 and 8192),
    constraint jobs_height_in_range check (height between 16 and 8192),
    constraint jobs_fps_in_range check (fps between 1 and 240 and scale(fps) <= 20),
    constraint jobs_estimated_duration_in_range check (
        estimated_duration > 0 and estimated_duration <= 86400 and scale(estimated_duration) <= 20
    ),
    constraint jobs_user_agent_length check (length(user_agent) <= 1024),
    constraint jobs_actual_duration_in_range check (actual_duration between 0 and 604800 and scale(actual_duration) <= 20),
    constraint jobs_client_ip_is_host check (client_ip = host(client_ip)::inet),
    constraint jobs_error_only_of_failure check (
        (error_code is null and error_message is null) or status in ('failed', 'cancelled', 'timeout')
    ),
    constraint jobs_progress_in_range check (progress_percentage between 0 and 100 and scale(progress_percentage) <= 20),
    constraint jobs_output_size_in_range check (output_size between 0 and 5497558138880),
    constraint jobs_output_url_length check (length(output_url) between 1 and 4096),
    constraint jobs_s3_bucket_length check (length(s3_bucket) between 3 and 255),
    constraint jobs_s3_key_length check (length(s3_key) between 1 and 1024),
    constraint jobs_s3_region_length check (length(s3_region) between 1 and 64),
    constraint jobs_s3_bucket_with_key check ((s3_bucket is null) = (s3_key is null)),
    constraint jobs_output_only_of_success check (
        (output_url is null and output_size is null and s3_key is null and output_url_expires_at is null)
        or status in ('processing', 'completed')
    ),
    constraint jobs_error_message_length check (length(error_message) <= 10000),
    constraint jobs_error_code_length check (length(error_code) between 1 and 100),
    constraint jobs_available_at_in_range check (available_at >= '2000-01-01' and available_at < '3000-01-01'),
    constraint jobs_output_url_expires_in_range check (
        output_url_expires_at >= '2000-01-01' and output_url_expires_at < '3000-01-01'
    ),
    constraint jobs_priority_in_range check (priority between -1000 and 1000),
    constraint jobs_max_retries_in_range check (max_retries between 0 and 100),
    constraint jobs_retry_count_not_negative check (retry_count >= 0),
    constraint jobs_rescue_count_not_negative check (rescue_count >= 0),
    constraint jobs_idempotency_key_length check (length(idempotency_key) between 1 and 200),
    constraint jobs_paused_before_end check (paused_at is null or status in ('pending', 'processing')),
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
comment on column public.jobs.output_url_expires_at is 'When output_url stops working; null: never.';
comment on column public.jobs.s3_key is 'Where the finished video is stored, within s3_bucket.';
comment on column public.jobs.priority is 'Of jobs that wait the higher goes first.';
comment on column public.jobs.available_at is 'From when a worker may claim the job; a retry waits until then.';
comment on column public.jobs.paused_at is 'Since when no worker may claim the job; null: it is not paused.';
comment on column public.jobs.retry_count is 'Failed attempts that were followed by another one.';
comment on column public.jobs.max_retries is 'How many failed attempts are followed by another one.';
comment on column public.jobs.rescue_count is 'Attempts that ended because their worker fell silent.';
comment on column public.jobs.replays is 'How often the job''s creation was asked for again with its idempotency key.';
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
comment on constraint jobs_progress_in_range on public.jobs is 'must be 0 to 100';
comment on constraint jobs_output_size_in_range on public.jobs is 'must be bytes, 0 to 5 TiB';
comment on constraint jobs_output_url_length on public.jobs is 'must have 1 to 4096 characters';
comment on constraint jobs_s3_bucket_length on public.jobs is 'must have 3 to 255 characters';
comment on constraint jobs_s3_key_length on public.jobs is 'must have 1 to 1024 characters';
comment on constraint jobs_s3_region_length on public.jobs is 'must have 1 to 64 characters';
comment on constraint jobs_s3_bucket_with_key on public.jobs is 'must come together with an s3_key';
comment on constraint jobs_output_only_of_success on public.jobs is 'belongs to a job that is processing or completed';
comment on constraint jobs_error_message_length on public.jobs is 'must have at most 10000 characters';
comment on constraint jobs_error_code_length on public.jobs is 'must have 1 to 100 characters';
comment on constraint jobs_available_at_in_range on public.jobs is 'must be in the years 2000 to 2999';
comment on constraint jobs_output_url_expires_in_range on public.jobs is 'must be in the years 2000 to 2999';
comment on constraint jobs_priority_in_range on public.jobs is 'must be -1000 to 1000';
comment on constraint jobs_max_retries_in_range on public.jobs is 'must be 0 to 100';
comment on constraint jobs_retry_count_not_negative on public.jobs is 'must not be negative';
comment on constraint jobs_rescue_count_not_negative on public.jobs is 'must not be negative';
comment on constraint jobs_paused_before_end on public.jobs is 'belongs to a job that has not ended';
comment on constraint jobs_idempotency_key_length on public.jobs is 'must have 1 to 200 characters';

-- Rules that take long to judge are judged when the column is written, not with every update: private.break_rule.
create trigger jobs_metadata_is_object before insert or update of metadata on public.jobs
    for each row when (not private.is_plain_object(new.metadata, 65536))
    execute function private.break_rule();
create trigger jobs_request_body_is_object before insert or update of request_body on public.jobs
    for each row when (not private.is_plain_object(new.request_body, 1048576))
    execute function private.break_rule();
create trigger jobs_error_details_is_object before insert or update of error_details on public.jobs
    for each row when (not private.is_plain_object(new.error_details, 65536))
    execute function private.break_rule();
comment on trigger jobs_metadata_is_object on public.jobs is 'must be a plain JSON object of at most 64 KiB';
comment on trigger jobs_request_body_is_object on public.jobs is 'must be a plain JSON object of at most 1 MiB';
comment on trigger jobs_error_details_is_object on public.jobs is 'must be a plain JSON object of at most 64 KiB';

create index jobs_newest on public.jobs (created_at, id);
create index jobs_by_status on public.jobs (status, created_at, id);
create index jobs_by_user on public.jobs (user_id, created_at, id);
-- How many a user has, and what of them a worker may claim next.
create index jobs_unfinished_by_user on public.jobs
    (user_id, status, paused_at, output_format, priority desc, available_at, id) where finished_at is null;
create index jobs_by_client_ip on public.jobs (client_ip, created_at, id);
create index jobs_by_format on public.jobs (output_format, created_at, id);
create index jobs_finished on public.jobs (finished_at, id) where finished_at is not null;
create index jobs_metadata on public.jobs using gin (metadata jsonb_path_ops);
create index jobs_error_text on public.jobs using gin (private.error_words(error_code, error_message))
    where finished_at is not null;
-- What workers claim from: flat however many jobs have ended, or wait in formats that a worker does not make.
create index jobs_claimable on public.jobs (output_format, priority desc, available_at, id)
    where status = 'pending' and paused_at is null;

-- No role writes the table: the functions do, through definers in private (insert_jobs, keep_job, remove_job), so that
-- every change has gone through its function's checks.
grant select on public.jobs to anon, authenticated, service_role;

create policy "Anonymous clients see jobs of their address, or watched" on public.jobs
    for select to anon using (
        id = (select private.watched_job())
        or ((select private.watched_job()) is null and user_id is null and client_ip = (select private.client_ip()))
    );
create policy "Users see jobs of their own, or watched; backends see all" on public.jobs
    for select to authenticated using (
        id = (select private.watched_job())
        or ((select private.watched_job()) is null and user_id = (select private.user_id()))
        or (select private.is_service())
    );

-- Which request an idempotency key stands for, within the scope of one caller.
create table private.idempotency_keys (
    scope text not null,
    key text not null,
    fingerprint bytea not null,
    -- The key is written before its job, so that of two callers at once one waits for the other.
    job_id uuid not null unique references public.jobs (id) on delete cascade deferrable initially deferred,
    created_at timestamptz not null default now(),
    primary key (scope, key)
);
alter table private.idempotency_keys enable row level security;
create policy "No role of the API reaches the keys" on private.idempotency_keys
    for all to anon, authenticated, service_role using (false);
comment on table private.idempotency_keys is 'Which request an idempotency key stands for, by caller.';
comment on column private.idempotency_keys.fingerprint is 'SHA-256 of the request, defaults filled in.';

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
        new.actual_duration := null;
        -- A job that had ended begins anew; one that its worker gave back or lost counts on.
        if old.is_terminal then
            new.retry_count := 0;
            new.rescue_count := 0;
            new.available_at := moment;
        end if;
    elsif new.status = 'processing' then
        new.started_at := moment;
    elsif new.status = 'completed' then
        new.progress_percentage := 100;
    end if;
    if new.status not in ('pending', 'processing') then
        new.paused_at := null;
    end if;
    if new.status not in ('processing', 'completed') then
        new.output_url := null;
        new.output_url_expires_at := null;
        new.output_size := null;
        new.s3_bucket := null;
        new.s3_key := null;
        new.s3_region := null;
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
    perform private.require_unfinished(old);
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
    progress_percentage, current_step, actual_duration, output_url, output_url_expires_at, output_size,
    s3_bucket, s3_key, s3_region, error_code, error_message, error_details, priority, available_at, paused_at,
    retry_count, rescue_count
    on public.jobs
    for each row when (old.status = new.status)
    execute function private.jobs_keep_rules();

-- A job that waits again is rendered from the beginning, maybe on another machine: what a worker noted of its elements
-- holds no longer. After the job's own event, so that a listener meets the reason first. Definer: no role writes elements.
create function private.jobs_reset_elements()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.elements set downloaded = false, processed = false, local_path = null, error_message = null
    where job_id = new.id
        and (downloaded or processed or local_path is not null or error_message is not null);
    return null;
end;
$$;
comment on function private.jobs_reset_elements is 'Trigger: the elements of a job that waits again are as new.';

create trigger c_reset_elements after update of status on public.jobs
    for each row when (old.status <> 'pending' and new.status = 'pending')
    execute function private.jobs_reset_elements();

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

-- Refuse more of a job that has ended.
create function private.require_unfinished(job public.jobs)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if job.is_terminal then
        perform private.fail(
            'job_finished',
            format('The job is %s; nothing of it changes any more and no step can start.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Retry the job, where its status allows that.'
        );
    end if;
end;
$$;
comment on function private.require_unfinished is 'Refuse more of a job that has ended.';
grant execute on function private.require_unfinished to anon, authenticated, service_role;

-- Write a locked job back as the caller has changed it. Definer: no role writes the table.
create function private.keep_job(changed public.jobs)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    update public.jobs set
        status = changed.status,
        progress_percentage = changed.progress_percentage,
        current_step = changed.current_step,
        actual_duration = changed.actual_duration,
        output_url = changed.output_url,
        output_url_expires_at = changed.output_url_expires_at,
        output_size = changed.output_size,
        s3_bucket = changed.s3_bucket,
        s3_key = changed.s3_key,
        s3_region = changed.s3_region,
        error_code = changed.error_code,
        error_message = changed.error_message,
        error_details = changed.error_details,
        priority = changed.priority,
        available_at = changed.available_at,
        paused_at = changed.paused_at,
        retry_count = changed.retry_count
    where id = changed.id;
end;
$$;
comment on function private.keep_job is 'Write a locked job back. Backends only.';
grant execute on function private.keep_job to authenticated, service_role;

-- The job, locked, for a backend that changes what belongs to its processing. `claim` is the number of the caller's
-- claim: a job that a worker has claimed is changed by the holder of its newest claim only, and a caller whose claim
-- is over changes nothing. Without a claim on it (private.require_claim is in job_queue) any backend may.
create function private.job_for_work(job_id uuid, claim bigint)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    job := private.locked_job(job_id);
    perform private.require_claim(job.id, claim);
    return job;
end;
$$;
comment on function private.job_for_work is 'The job, locked, if the caller is the one who may work on it.';
grant execute on function private.job_for_work to authenticated, service_role;

-- Functions ---------------------------------------------------------------------------------

-- What may be said of a job that is to be created.
create function private.job_properties()
returns text[]
language sql
immutable
set search_path = ''
as $$
    select array[
        'output_format', 'width', 'height', 'fps', 'estimated_duration', 'client_ip', 'user_agent', 'user_id',
        'metadata', 'response_type', 'request_body', 'priority', 'max_retries', 'available_at', 'idempotency_key'
    ];
$$;
comment on function private.job_properties is 'What may be said of a job that is to be created.';
grant execute on function private.job_properties to anon, authenticated, service_role;

-- In whose name the caller may create jobs: their idempotency keys are their own. Refuses those who may create none.
create function private.creation_scope()
returns text
language plpgsql
set search_path = ''
as $$
declare
    address inet := private.client_ip();
begin
    if private.is_service() then
        return 'backend';
    elsif private.watched_job() is not null or (auth.role() is distinct from 'anon' and private.user_id() is null) then
        perform private.fail(
            'permission_denied',
            'This token lets its holder create nothing.',
            jsonb_build_object('role', private.user_role()),
            'Call with an access token of a user (its sub must be a UUID), without a token, or with the service key.'
        );
    elsif auth.role() <> 'anon' then
        return 'user ' || private.user_id();
    elsif address is null then
        perform private.fail(
            'client_unknown',
            'An anonymous job needs the client''s address, and this request carries none.',
            '{}',
            'Sign in, or have the operator set client_ip_header in private.settings to the header the proxy writes.'
        );
    end if;
    return 'address ' || host(address);
end;
$$;
comment on function private.creation_scope is 'In whose name the caller may create jobs; refuses those who may not.';
grant execute on function private.creation_scope to anon, authenticated, service_role;

-- The value of a property, or if it is larger than the property's rule allows, a text, which breaks the rule as well and costs
-- nothing: what is far too large would keep every step up to the rule busy.
create function private.cut_value(property text, value jsonb)
returns jsonb
language sql
immutable
set search_path = ''
as $$
    select case
        when pg_column_size(value) > case property
            when 'metadata' then 65536 when 'text_style' then 65536 when 'request_body' then 1048576
        end then to_jsonb('too large'::text)
        else value
    end;
$$;
comment on function private.cut_value is 'The value of a property, or a text if it is too large.';
grant execute on function private.cut_value to anon, authenticated, service_role;

-- The same for the objects of a JSON array, and for their `elements`.
create function private.cut_values(items jsonb)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- Longer lists are refused as such. What fits is not put together again.
    if jsonb_typeof(items) is distinct from 'array' or jsonb_array_length(items) > 500 then
        return items;
    elsif not exists (
        select from jsonb_array_elements(items) as item,
            (values ('metadata', 65536), ('text_style', 65536), ('request_body', 1048576), ('elements', 65536)) as large (property, bytes)
        where pg_column_size(item -> property) > bytes
    ) then
        return items;
    end if;
    return (
        select jsonb_agg(
            case when jsonb_typeof(item.value) = 'object' then (
                select coalesce(jsonb_object_agg(key, case
                    when key = 'elements' then private.cut_values(value) else private.cut_value(key, value)
                end), '{}')
                from jsonb_each(item.value)
            ) else item.value end
            order by item.place
        )
        from jsonb_array_elements(items) with ordinality as item (value, place)
    );
end;
$$;
comment on function private.cut_values is 'Objects for rows, without values that are too large.';
grant execute on function private.cut_values to anon, authenticated, service_role;

-- One object of a call that creates jobs: its place, the job made for it if it is new, its key and content.
create type private.insertion as (place integer, job_id uuid, is_new boolean, key text, fingerprint bytea);

-- What a request for a job asks for, as a hash; null without an idempotency key. Not from which address: a client that
-- repeats a request may have changed its network meanwhile.
create function private.fingerprint(wanted jsonb)
returns bytea
language sql
immutable
set search_path = ''
as $$
    select sha256(convert_to((wanted - array['place', 'new_id', 'idempotency_key', 'client_ip'])::text, 'utf8'))
    where wanted ->> 'idempotency_key' is not null;
$$;
comment on function private.fingerprint is 'What a request for a job asks for, as a hash.';
grant execute on function private.fingerprint to anon, authenticated, service_role;

-- Count that the creation of these jobs was asked for again. In order of id, as all who lock several jobs.
create function private.count_replays(job_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform from public.jobs where id = any (job_ids) order by id for no key update;
    update public.jobs set replays = replays + (
        select count(*) from unnest(job_ids) as job_id where job_id = jobs.id
    ) where id = any (job_ids);
end;
$$;
comment on function private.count_replays is 'Count that the creation of jobs was asked for again.';

insert into private.settings (name, form, value, description) values (
    'max_unfinished_jobs_per_user', 'whole number or null', 'null',
    'How many jobs of one user may wait or be processed at a time; null: any number.'
);

-- Refuse jobs that were written just now when a user of theirs has more unfinished ones than the setting allows. After
-- the write and behind a lock of the user's: whoever waited for the lock counts what the one before has written, so the
-- quota holds exactly. Definer: it reads the setting, and counts whatever the caller may see.
create function private.require_quota(job_ids uuid[])
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    most integer := private.number_setting('max_unfinished_jobs_per_user');
    asked record;
    unfinished integer;
begin
    if most is null then
        return;
    end if;
    for asked in
        select jobs.user_id, count(*)::integer as jobs
        from public.jobs
        where jobs.id = any (job_ids) and jobs.user_id is not null
        group by jobs.user_id
        -- In the order of the locks, so that two callers with the same users never wait for each other.
        order by hashtext(jobs.user_id::text)
    loop
        perform pg_advisory_xact_lock(hashtext('reelbase: quota of a user'), hashtext(asked.user_id::text));
        select count(*) into unfinished
        from public.jobs
        where jobs.user_id = asked.user_id and jobs.finished_at is null;
        if unfinished > most then
            perform private.fail(
                'quota_exceeded',
                format(
                    'A user may have %s unfinished jobs: this one has %s, and the request adds %s.',
                    most, unfinished - asked.jobs, asked.jobs
                ),
                jsonb_build_object(
                    'user_id', asked.user_id, 'limit', most, 'used', unfinished - asked.jobs, 'requested', asked.jobs
                ),
                'Wait until some have ended, or cancel some.'
            );
        end if;
    end loop;
end;
$$;
comment on function private.require_quota is 'Refuse jobs just written with which a user has too many unfinished ones.';
grant execute on function private.require_quota to authenticated, service_role;

-- Insert jobs, given as a JSON array of objects with private.job_properties (and `elements`, which only their
-- fingerprint takes in), in one statement; for each its place in the array, its id and whether it is new. An object
-- whose idempotency key the same caller has given before stands for the job that it made then; with another content it
-- is a conflict. Address, user and place in the queue are, of a backend's jobs, what it says; of anyone else's, what
-- the request itself proves. Definer, and the only way in: no role may insert into the table.
create function private.insert_jobs(specs jsonb, prefix text)
returns table (place integer, job_id uuid, is_new boolean)
language plpgsql
security definer
set search_path = ''
as $$
declare
    caller text := private.creation_scope();
    trusted boolean := caller = 'backend';
    outcome private.insertion[];
    misused private.insertion;
begin
    if exists (
        select from jsonb_array_elements(specs) as spec
        where spec - (private.job_properties() || array['elements']) <> '{}'
    ) then
        raise data_exception;
    end if;
    with given as (
        select
            (item.ordinality - 1)::integer as place,
            gen_random_uuid() as new_id,
            item.value -> 'elements' as elements,
            job.*
        from jsonb_array_elements(specs) with ordinality as item,
            jsonb_populate_record(null::public.jobs, item.value) as job
    ),
    wanted as (
        select
            given.place,
            given.new_id,
            given.idempotency_key,
            given.output_format,
            given.width,
            given.height,
            -- 5 and 5.0 are the same request.
            trim_scale(coalesce(given.fps, 30)) as fps,
            trim_scale(given.estimated_duration) as estimated_duration,
            case when trusted then given.user_id when caller like 'user %' then private.user_id() end as user_id,
            case when trusted then given.client_ip else private.client_ip() end as client_ip,
            given.user_agent,
            coalesce(given.metadata, '{}') as metadata,
            coalesce(given.response_type, 'async') as response_type,
            coalesce(given.request_body, '{}') as request_body,
            case when trusted then coalesce(given.priority, 0) else 0 end as priority,
            case when trusted then coalesce(given.max_retries, 3) else 3 end as max_retries,
            case when trusted then given.available_at end as available_at,
            given.elements
        from given
    ),
    key as (
        insert into private.idempotency_keys (scope, key, fingerprint, job_id)
        select caller, wanted.idempotency_key, private.fingerprint(to_jsonb(wanted)), wanted.new_id
        from wanted
        where length(wanted.idempotency_key) between 1 and 200
        order by wanted.idempotency_key, wanted.place
        on conflict do nothing
        returning idempotency_keys.job_id
    ),
    made as (
        insert into public.jobs (
            id, idempotency_key, output_format, width, height, fps, estimated_duration, user_id, client_ip,
            user_agent, metadata, response_type, request_body, priority, max_retries, available_at
        )
        select
            new_id, idempotency_key, output_format, width, height, fps, estimated_duration, user_id, client_ip,
            user_agent, metadata, response_type, request_body, priority, max_retries, coalesce(available_at, now())
        from wanted
        -- A key that breaks its rule has no row of its own; let the table's rule speak.
        where (length(idempotency_key) between 1 and 200) is not true or new_id in (select key.job_id from key)
        order by wanted.place
        returning id
    )
    select array_agg(
        (
            wanted.place, wanted.new_id, wanted.new_id in (select made.id from made),
            wanted.idempotency_key, private.fingerprint(to_jsonb(wanted))
        )::private.insertion
        order by wanted.place
    )
    into outcome
    from wanted;
    select insertion.* into misused
    from unnest(outcome) as insertion
    join private.idempotency_keys as kept on kept.scope = caller and kept.key = insertion.key
    where kept.fingerprint <> insertion.fingerprint
    order by insertion.place limit 1;
    if found then
        perform private.fail(
            'idempotency_conflict',
            format('The idempotency key %s was given before, with another request.', misused.key),
            jsonb_build_object('argument', format(prefix, misused.place) || 'idempotency_key', 'idempotency_key', misused.key),
            'Give each request a key of its own, and repeat a request exactly.'
        );
    end if;
    -- Before the limits: everyone locks jobs first, then what is counted of their owners, so that none deadlocks.
    perform private.count_replays(array(
        select kept.job_id
        from unnest(outcome) as insertion
        join private.idempotency_keys as kept on kept.scope = caller and kept.key = insertion.key
        where not insertion.is_new
    ));
    -- What was created before is not created again, and takes nothing from the limit.
    if caller like 'address %' and true = any (array(select insertion.is_new from unnest(outcome) as insertion)) then
        perform private.limit_anonymous_jobs(
            private.client_ip(), (select count(*)::integer from unnest(outcome) as insertion where insertion.is_new)
        );
    end if;
    perform private.require_quota(array(select insertion.job_id from unnest(outcome) as insertion where insertion.is_new));
    return query
        select insertion.place, coalesce(kept.job_id, insertion.job_id), insertion.is_new
        from unnest(outcome) as insertion
        left join private.idempotency_keys as kept on kept.scope = caller and kept.key = insertion.key
        order by insertion.place;
exception
    when check_violation or not_null_violation or data_exception then
        perform private.refuse_arguments(
            private.rows_problems('public.jobs', (
                select jsonb_agg(case when jsonb_typeof(spec) = 'object' then spec - 'elements' else spec end)
                from jsonb_array_elements(specs) as spec
            ), private.job_properties(), prefix),
            sqlerrm
        );
end;
$$;
comment on function private.insert_jobs is 'Insert a JSON array of jobs; an idempotency key given again stands for the first.';
grant execute on function private.insert_jobs to anon, authenticated, service_role;

-- Create a job. Address, user and place in the queue of a backend's call are its arguments; of anyone else's, what the
-- request itself proves, whatever the arguments say. The idempotency key given again returns the job that it made
-- first, with `replays` counted up.
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
    user_id uuid default null,
    priority integer default 0,
    max_retries integer default 3,
    available_at timestamptz default null,
    idempotency_key text default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    new_id uuid;
begin
    select inserted.job_id into new_id
    from private.insert_jobs(jsonb_build_array(jsonb_build_object(
        'output_format', output_format, 'width', width, 'height', height, 'estimated_duration', estimated_duration,
        'client_ip', client_ip, 'user_agent', user_agent, 'metadata', private.cut_value('metadata', metadata), 'fps', fps,
        'response_type', response_type, 'request_body', private.cut_value('request_body', request_body),
        'user_id', user_id, 'priority', priority, 'max_retries', max_retries, 'available_at', available_at,
        'idempotency_key', idempotency_key
    )), '') as inserted;
    return private.visible_job(new_id);
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

create type public.job_page as (items public.jobs[], next_cursor text, total bigint);
comment on type public.job_page is 'One page of jobs; next_cursor is null on the last, total unless it was asked for.';

-- What list_jobs is asked for.
create type private.job_list as (
    status public.job_status[],
    user_id uuid,
    client_ip inet,
    oldest_first boolean,
    page_size integer,
    cursor text,
    output_format text,
    from_time timestamptz,
    to_time timestamptz,
    metadata jsonb,
    error_text text,
    sort text,
    with_total boolean
);

-- The page itself, put together here so that each combination of filters is planned by itself, as an index scan; all that
-- comes from the caller is a parameter.
create function private.page_of_jobs(wanted private.job_list)
returns public.job_page
language plpgsql
stable
set search_path = ''
as $$
declare
    direction text := case when wanted.oldest_first then 'asc' else 'desc' end;
    beyond text := case when wanted.oldest_first then '>' else '<' end;
    list_name text := format('jobs by %s %s', wanted.sort, direction);
    place record := private.cursor_place(list_name, wanted.cursor, 'timestamptz', 'uuid');
    filter text := concat_ws(
        ' and ',
        case when wanted.status is null then 'true' else 'jobs.status = asked.status' end,
        -- What row-level security demands anyway, in a form that an index answers.
        case
            when private.is_service() then null
            when private.watched_job() is not null then 'jobs.id = private.watched_job()'
            when auth.role() = 'anon' then 'jobs.client_ip = private.client_ip()'
            else 'jobs.user_id = private.user_id()'
        end,
        case when wanted.user_id is not null then 'jobs.user_id = ($1).user_id' end,
        case when wanted.client_ip is not null then 'jobs.client_ip = ($1).client_ip' end,
        case when wanted.output_format is not null then 'jobs.output_format = ($1).output_format' end,
        case when wanted.from_time is not null then 'jobs.created_at >= ($1).from_time' end,
        case when wanted.to_time is not null then 'jobs.created_at < ($1).to_time' end,
        case when wanted.metadata is not null then 'jobs.metadata @> ($1).metadata' end,
        case when wanted.error_text is not null then
            'private.error_words(jobs.error_code, jobs.error_message) '
            '@@ plainto_tsquery(''pg_catalog.simple'', ($1).error_text)'
        end,
        case when wanted.error_text is not null or wanted.sort = 'finished_at' then 'jobs.finished_at is not null' end
    );
    one_page text := format(
        'select jobs as job from public.jobs where %s%s order by jobs.%I %s, jobs.id %4$s limit $4',
        filter,
        case when wanted.cursor is not null then format(' and (jobs.%I, jobs.id) %s ($2, $3)', wanted.sort, beyond) end,
        wanted.sort,
        direction
    );
    rows public.jobs[];
    total bigint;
begin
    if wanted.with_total then
        execute format(
            'select count(*) from (select distinct unnest(coalesce(($1).status, ''{pending}'')) as status) as asked, '
            'public.jobs where %s', filter
        )
        into total using wanted;
    end if;
    -- With several statuses, a page of each from its index, and the first of them all.
    if wanted.status is not null then
        one_page := format(
            'select page.job from (select distinct unnest(($1).status) as status) as asked, lateral (%s) as page '
            'order by (page.job).%I %s, (page.job).id %3$s limit $4',
            one_page,
            wanted.sort,
            direction
        );
    end if;
    execute format('select coalesce(array_agg(page.job), ''{}'') from (%s) as page', one_page)
    into rows
    -- One more than asked for tells whether there is a next page.
    using wanted, place.value::timestamptz, place.id::uuid, wanted.page_size + 1;
    return (
        rows[1:wanted.page_size],
        case when cardinality(rows) > wanted.page_size then private.cursor(
            list_name, to_jsonb(rows[wanted.page_size]) -> wanted.sort, rows[wanted.page_size].id::text
        ) end,
        total
    );
end;
$$;
comment on function private.page_of_jobs is 'A page of the jobs that the role may see.';
grant execute on function private.page_of_jobs to anon, authenticated, service_role;

-- The same for backends, who see all. Definer, because below a policy Postgres looks no status up in an index: comparing
-- an enum might tell of rows that the policy hides.
create function private.page_of_all_jobs(wanted private.job_list)
returns public.job_page
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    return private.page_of_jobs(wanted);
end;
$$;
comment on function private.page_of_all_jobs is 'A page of all jobs, for backends.';
grant execute on function private.page_of_all_jobs to authenticated, service_role;

-- Jobs that the caller may see, a page at a time, newest first unless told otherwise. Every filter that is given
-- must hold: one of the statuses, address, user, format, created within [from_time, to_time), metadata that contains
-- the given object, all the words in the error's code or text. Sorted by created_at, or by finished_at (jobs that have
-- ended). A page starts after the cursor, which is the place of the last row seen, so rows that arrive meanwhile shift
-- nothing.
create function public.list_jobs(
    status public.job_status[] default null,
    user_id uuid default null,
    client_ip inet default null,
    oldest_first boolean default false,
    page_size integer default 50,
    cursor text default null,
    output_format text default null,
    from_time timestamptz default null,
    to_time timestamptz default null,
    metadata jsonb default null,
    error_text text default null,
    sort text default 'created_at',
    with_total boolean default false
)
returns public.job_page
language plpgsql
stable
set search_path = ''
as $$
declare
    wanted private.job_list := (
        status, user_id, client_ip, oldest_first, page_size, cursor, output_format, from_time, to_time, metadata,
        error_text, sort, with_total
    );
begin
    perform private.require_range('page_size', page_size, 1, 500);
    if sort is null or sort not in ('created_at', 'finished_at') then
        perform private.refuse_argument('sort', 'must be created_at or finished_at');
    end if;
    if metadata is not null and jsonb_typeof(metadata) <> 'object' then
        perform private.refuse_argument('metadata', 'must be a JSON object');
    end if;
    if output_format not in ('mp4', 'mov', 'webm', 'gif') then
        perform private.refuse_argument('output_format', 'must be mp4, mov, webm or gif');
    end if;
    perform private.require_period(from_time, to_time);
    if private.is_service() then
        return private.page_of_all_jobs(wanted);
    end if;
    return private.page_of_jobs(wanted);
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
    actual_duration numeric default null,
    s3_bucket text default null,
    s3_key text default null,
    s3_region text default null,
    output_url_expires_at timestamptz default null,
    claim bigint default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    if status is null then
        perform private.refuse_argument('status', 'is required');
    end if;
    job := private.locked_job(job_id);
    -- Calling a job off needs no claim: whoever works on it learns of it with the next heartbeat.
    if claim is not null or status not in ('cancelled', 'timeout') then
        perform private.require_claim(job.id, claim);
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
    if (output_url is not null or output_size is not null or s3_key is not null) and status <> 'completed' then
        perform private.refuse_argument('output_url', 'belongs to a job that is completed, as output_size and s3_key do');
    end if;
    job.status := status;
    job.error_code := coalesce(error_code, job.error_code);
    job.error_message := coalesce(error_message, job.error_message);
    job.error_details := coalesce(error_details, job.error_details);
    job.output_url := coalesce(output_url, job.output_url);
    job.output_url_expires_at := coalesce(output_url_expires_at, job.output_url_expires_at);
    job.output_size := coalesce(output_size, job.output_size);
    job.actual_duration := coalesce(actual_duration, job.actual_duration);
    job.s3_bucket := coalesce(s3_bucket, job.s3_bucket);
    job.s3_key := coalesce(s3_key, job.s3_key);
    job.s3_region := coalesce(s3_region, job.s3_region);
    perform private.keep_job(job);
    -- What had ended and waits again is one more job of its user.
    if job.is_terminal and status = 'pending' then
        perform private.require_quota(array[job.id]);
    end if;
    return private.visible_job(job_id);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.jobs', jsonb_strip_nulls(jsonb_build_object(
            'status', update_job_status.status, 'error_code', update_job_status.error_code,
            'error_message', update_job_status.error_message, 'error_details', update_job_status.error_details,
            'output_url', update_job_status.output_url, 'output_size', update_job_status.output_size,
            'actual_duration', update_job_status.actual_duration, 's3_bucket', update_job_status.s3_bucket,
            's3_key', update_job_status.s3_key, 's3_region', update_job_status.s3_region,
            'output_url_expires_at', update_job_status.output_url_expires_at
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
    current_step public.processing_step default null,
    claim bigint default null
)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    job := private.job_for_work(job_id, claim);
    if job.status <> 'processing' then
        perform private.fail(
            'job_not_processing',
            format('The job is %s, so it makes no progress.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Set the status to processing first.'
        );
    end if;
    job.progress_percentage := progress_percentage;
    job.current_step := coalesce(current_step, job.current_step);
    perform private.keep_job(job);
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

-- Call a job off: its owner may, and every backend. A worker that has it learns of it with
-- its next heartbeat or report. A job that is called off already stays as it is.
create function public.cancel_job(job_id uuid, reason text default null)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs := private.locked_job(job_id);
begin
    if job.status <> 'cancelled' then
        perform private.set_cancelled(job.id, reason);
    end if;
    return private.visible_job(job_id);
exception
    when check_violation then
        perform private.refuse_argument('reason', 'must have at most 10000 characters');
        return null;
end;
$$;
comment on function public.cancel_job is 'Call a job off; returns it.';
grant execute on function public.cancel_job to anon, authenticated, service_role;

-- The change itself. Definer: owners may call their jobs off and change nothing else of them.
create function private.set_cancelled(job_id uuid, reason text)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- In elements, as who composes a job may also call it off.
    perform private.require_owner(job_id);
    update public.jobs set
        status = 'cancelled',
        error_code = 'cancelled',
        error_message = coalesce(reason, 'The job was called off.')
    where id = set_cancelled.job_id;
end;
$$;
comment on function private.set_cancelled is 'Cancel a job of the caller''s own, or as a backend any.';
grant execute on function private.set_cancelled to anon, authenticated, service_role;

-- Try a job again that failed or took too long, from the beginning and with all its retries.
create function public.retry_job(job_id uuid, priority integer default null)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    job := private.locked_job(job_id);
    if not job.is_terminal then
        perform private.fail(
            'job_not_finished',
            format('The job is %s; only one that has ended is tried again.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Wait until it has ended, or cancel it.'
        );
    end if;
    job.status := 'pending';
    job.priority := coalesce(priority, job.priority);
    perform private.keep_job(job);
    perform private.require_quota(array[job.id]);
    return private.visible_job(job_id);
exception
    when check_violation then
        perform private.refuse_arguments(
            private.row_problems('public.jobs', jsonb_build_object('priority', priority)), sqlerrm
        );
        return null;
end;
$$;
comment on function public.retry_job is 'Try a job again that failed or took too long; returns it. Backends only.';
grant execute on function public.retry_job to authenticated, service_role;

-- Delete a job that has ended with all that belongs to it; with force, which takes an admin, any job. What
-- was deleted and by whom stays in security_events.
create function public.delete_job(job_id uuid, force boolean default false)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.require_service();
    if force then
        perform private.require_admin();
    end if;
    job := private.locked_job(job_id);
    if not (job.is_terminal or coalesce(force, false)) then
        perform private.fail(
            'job_not_finished',
            format('The job is %s; only one that has ended is deleted.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Cancel it first, or have an admin delete it with force.'
        );
    end if;
    perform private.audit('job_deleted', job.id, jsonb_build_object(
        'status', job.status, 'user_id', job.user_id, 'created_at', job.created_at, 'forced', not job.is_terminal
    ));
    perform private.remove_job(job.id);
    return job;
end;
$$;
comment on function public.delete_job is 'Delete a job that has ended; returns what it was. Backends only.';
grant execute on function public.delete_job to authenticated, service_role;

-- The deletion itself. Definer: no role has the right to delete jobs.
create function private.remove_job(job_id uuid)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    delete from public.jobs where id = remove_job.job_id;
end;
$$;
comment on function private.remove_job is 'Delete a job. Backends only.';
grant execute on function private.remove_job to authenticated, service_role;
