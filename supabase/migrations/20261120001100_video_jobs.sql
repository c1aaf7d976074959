-- Video jobs: jobs with their elements and first steps, made in one call and one transaction, and read as a whole.

create type public.video_job as (
    job public.jobs,
    elements public.elements[],
    step public.processing_timeline
);
comment on type public.video_job is 'A job with its elements in order and its first step.';

-- Create jobs, each with its `elements` if it has some and its first step (validation, open), from a JSON array; one whose
-- idempotency key stands for an earlier job is left as it is. `prefix` names the place in the array in a refusal.
create function private.insert_video_jobs(specs jsonb, prefix text)
returns setof uuid
language plpgsql
set search_path = ''
as $$
declare
    inserted record;
    elements jsonb;
begin
    for inserted in select * from private.insert_jobs(specs, prefix) order by place loop
        elements := specs -> inserted.place -> 'elements';
        if inserted.is_new and elements is not null then
            if jsonb_typeof(elements) <> 'array' or jsonb_array_length(elements) not between 1 and 500 then
                perform private.refuse_argument(
                    format(prefix, inserted.place) || 'elements', 'must be a JSON array of 1 to 500 elements'
                );
            end if;
            perform private.insert_elements(
                inserted.job_id, elements, format(prefix, inserted.place) || 'elements[%s].'
            );
            perform private.open_step(inserted.job_id, 'validation', 0);
        end if;
        return next inserted.job_id;
    end loop;
end;
$$;
comment on function private.insert_video_jobs is 'Create jobs with their elements and first steps.';
grant execute on function private.insert_video_jobs to anon, authenticated, service_role;

-- Create a job, all its elements and its first step (validation, open). `elements` is a JSON array of
-- objects with the arguments of add_job_element; their order is the array's unless they say otherwise.
-- Nothing is created if anything is refused; the error then names the element's place in the array.
create function public.create_video_job(
    output_format text,
    width integer,
    height integer,
    elements jsonb,
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
returns public.video_job
language plpgsql
set search_path = ''
as $$
declare
    made public.video_job;
    first_step public.processing_timeline;
    new_id uuid;
begin
    new_id := private.insert_video_jobs(jsonb_build_array(jsonb_build_object(
        'output_format', output_format, 'width', width, 'height', height, 'estimated_duration', estimated_duration,
        'client_ip', client_ip, 'user_agent', user_agent, 'metadata', private.cut_value('metadata', metadata), 'fps', fps,
        'response_type', response_type, 'request_body', private.cut_value('request_body', request_body),
        'user_id', user_id, 'priority', priority, 'max_retries', max_retries, 'available_at', available_at,
        'idempotency_key', idempotency_key, 'elements', coalesce(private.cut_values(elements), 'null')
    )), '');
    made.elements := array(
        select listed from public.elements as listed where listed.job_id = new_id order by listed.element_order
    );
    select * into first_step from public.processing_timeline as timeline
    where timeline.job_id = new_id and timeline.step_order = 0;
    made.step := first_step;
    made.job := private.visible_job(new_id);
    return made;
end;
$$;
comment on function public.create_video_job is 'Create a job with elements and first step in one transaction.';
grant execute on function public.create_video_job to anon, authenticated, service_role;

-- Create many jobs, all or none, from a JSON array of objects with the arguments of create_job, each with `elements` as
-- create_video_job takes them if it has some. Returned in the array's order; one whose idempotency key was given before
-- is the job that it made then.
create function public.create_jobs(jobs jsonb)
returns setof public.jobs
language plpgsql
set search_path = ''
as $$
declare
    ids uuid[];
begin
    perform private.require_list('jobs', jobs, 500);
    ids := array(
        select inserted.id
        from private.insert_video_jobs(private.cut_values(create_jobs.jobs), 'jobs[%s].') with ordinality as inserted (id, place)
        order by inserted.place
    );
    return query
        select made.*
        from unnest(ids) with ordinality as inserted (id, place)
        join public.jobs as made on made.id = inserted.id
        order by inserted.place;
end;
$$;
comment on function public.create_jobs is 'Create many jobs, all or none; returns them in the order given.';
grant execute on function public.create_jobs to anon, authenticated, service_role;

create type public.job_details as (
    job public.jobs,
    elements public.elements[],
    timeline public.processing_timeline[],
    storage_operations public.storage_operations[],
    claims public.job_claims[],
    url_accesses bigint,
    bytes_served bigint
);
comment on type public.job_details is
    'A job with all that belongs to it; claims and accesses are there for backends only. The newest 500 operations.';

-- A job with its elements, timeline, storage operations, the attempts at it and how often its video was fetched, as far as the
-- caller may see them.
create function public.get_job_with_details(job_id uuid)
returns public.job_details
language plpgsql
stable
set search_path = ''
as $$
declare
    details public.job_details;
begin
    details.job := private.visible_job(job_id);
    details.elements := array(select listed from public.get_job_elements(job_id) as listed);
    details.timeline := array(select listed from public.get_processing_timeline(job_id) as listed);
    details.storage_operations := array(
        select operations from public.storage_operations as operations
        where operations.job_id = get_job_with_details.job_id
        order by operations.created_at desc, operations.id desc limit 500
    );
    if private.is_service() then
        details.claims := array(
            select claims from public.job_claims as claims
            where claims.job_id = get_job_with_details.job_id order by claims.id
        );
        select count(*), coalesce(sum(logs.bytes_sent), 0)::bigint into details.url_accesses, details.bytes_served
        from public.url_access_logs as logs where logs.job_id = get_job_with_details.job_id;
    end if;
    return details;
end;
$$;
comment on function public.get_job_with_details is 'A job with all that belongs to it.';
grant execute on function public.get_job_with_details to anon, authenticated, service_role;
