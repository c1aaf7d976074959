-- Processing timeline: what a worker did for a job, step by step.

create table public.processing_timeline (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.jobs (id) on delete cascade,
    step public.processing_step not null,
    step_order integer not null,
    progress_percentage numeric not null default 0,
    success boolean,
    details jsonb not null default '{}',
    error_message text,
    error_details jsonb not null default '{}',
    cpu_usage numeric,
    memory_usage bigint,
    started_at timestamptz not null default clock_timestamp(),
    completed_at timestamptz,
    duration_ms bigint generated always as (
        round(extract(epoch from completed_at - started_at) * 1000)
    ) stored,
    constraint processing_timeline_order_unique unique (job_id, step_order),
    constraint processing_timeline_order_in_range check (step_order between 0 and 9999),
    constraint processing_timeline_progress_in_range check (
        progress_percentage between 0 and 100 and scale(progress_percentage) <= 20
    ),
    constraint processing_timeline_cpu_in_range check (cpu_usage between 0 and 1000000 and scale(cpu_usage) <= 20),
    constraint processing_timeline_memory_positive check (memory_usage >= 0),
    constraint processing_timeline_details_is_object check (private.is_plain_object(details, 65536)),
    constraint processing_timeline_error_details_is_object check (private.is_plain_object(error_details, 65536)),
    constraint processing_timeline_error_length check (length(error_message) <= 10000),
    constraint processing_timeline_completed_has_result check ((completed_at is null) = (success is null)),
    constraint processing_timeline_ends_after_start check (completed_at >= started_at),
    constraint processing_timeline_error_only_of_failure check (error_message is null or not success)
);
alter table public.processing_timeline enable row level security;

comment on table public.processing_timeline is 'What a worker did for a job, step by step.';
comment on column public.processing_timeline.step_order is 'Place within the job, from 0.';
comment on column public.processing_timeline.success is 'Null while the step is open.';
comment on column public.processing_timeline.cpu_usage is 'Percent of one core, averaged over the step; 200 is two busy cores.';
comment on column public.processing_timeline.memory_usage is 'Peak, in bytes.';
comment on column public.processing_timeline.duration_ms is 'Wall time of the step in milliseconds.';
comment on constraint processing_timeline_order_in_range on public.processing_timeline is 'must be 0 to 9999';
comment on constraint processing_timeline_progress_in_range on public.processing_timeline is 'must be 0 to 100';
comment on constraint processing_timeline_cpu_in_range on public.processing_timeline is 'must be percent of one core, 0 to 1000000';
comment on constraint processing_timeline_memory_positive on public.processing_timeline is 'must be bytes, not negative';
comment on constraint processing_timeline_details_is_object on public.processing_timeline is 'must be a plain JSON object of at most 64 KiB';
comment on constraint processing_timeline_error_details_is_object on public.processing_timeline is 'must be a plain JSON object of at most 64 KiB';
comment on constraint processing_timeline_error_length on public.processing_timeline is 'must have at most 10000 characters';
comment on constraint processing_timeline_error_only_of_failure on public.processing_timeline is 'belongs to a step that failed';

-- A job works on one step of a kind at a time; what starts it again takes the open one over.
create unique index processing_timeline_one_open on public.processing_timeline (job_id, step)
    where completed_at is null;

-- No role writes the table: the functions do, through definers in private.
grant select on public.processing_timeline to anon, authenticated, service_role;

create policy "Who sees a job sees its timeline" on public.processing_timeline
    for select to anon, authenticated using (
        (select private.is_service()) or exists (select from public.jobs where jobs.id = processing_timeline.job_id)
    );
-- A completed step is history.
create function private.processing_timeline_keep_completed()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.fail(
        'step_completed',
        format('The step %s was completed at %s.', old.step, old.completed_at),
        jsonb_build_object('timeline_id', old.id, 'step', old.step, 'success', old.success),
        'Start the step again to record another attempt.'
    );
end;
$$;
comment on function private.processing_timeline_keep_completed is 'Trigger: a completed step does not change.';

create trigger a_keep_completed before update on public.processing_timeline
    for each row when (old.completed_at is not null)
    execute function private.processing_timeline_keep_completed();

-- A job that has ended gets no further steps. After the insert, so that the policies have spoken first.
-- Definer: to lock the job.
create function private.processing_timeline_need_unfinished_job()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.lock_job(new.job_id);
    select * into job from public.jobs where jobs.id = new.job_id;
    perform private.require_unfinished(job);
    return null;
end;
$$;
comment on function private.processing_timeline_need_unfinished_job is 'Trigger: refuses steps of a job that has ended.';

create trigger a_need_unfinished_job after insert on public.processing_timeline
    for each row execute function private.processing_timeline_need_unfinished_job();

-- When a job ends other than well, or goes back to wait, no step of it stays open.
create function private.jobs_close_steps()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.processing_timeline set
        success = (new.status = 'completed'),
        progress_percentage = case when new.status = 'completed' then 100 else progress_percentage end,
        completed_at = clock_timestamp(),
        error_message = case when new.status <> 'completed'
            then coalesce(new.error_message, format('The job became %s.', new.status)) end
    where job_id = new.id and completed_at is null;
    return null;
end;
$$;
comment on function private.jobs_close_steps is 'Trigger: closes the open steps of a job that stops.';

create trigger a_close_steps after update of status on public.jobs
    for each row when (old.status is distinct from new.status and new.status <> 'processing')
    execute function private.jobs_close_steps();

-- The job of a step that the caller may work on, locked; else not_found or lease_lost.
create function private.job_of_step(timeline_id uuid, claim bigint)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job_id uuid;
begin
    perform private.require_service();
    select timeline.job_id into job_id
    from public.processing_timeline as timeline where timeline.id = job_of_step.timeline_id;
    if not found then
        perform private.fail(
            'not_found',
            format('There is no step %s.', coalesce(timeline_id::text, 'without an id')),
            jsonb_build_object('timeline_id', timeline_id),
            'Use the id that start_processing_step returned.'
        );
    end if;
    return private.job_for_work(job_id, claim);
end;
$$;
comment on function private.job_of_step is 'The job of a step, locked, if the caller is the one who may work on it.';
grant execute on function private.job_of_step to authenticated, service_role;

-- Write a step of a locked job back as the caller has changed it. Definer: no role writes the table.
create function private.keep_step(changed public.processing_timeline)
returns public.processing_timeline
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    update public.processing_timeline set
        progress_percentage = changed.progress_percentage,
        success = changed.success,
        details = changed.details,
        error_message = changed.error_message,
        error_details = changed.error_details,
        cpu_usage = changed.cpu_usage,
        memory_usage = changed.memory_usage,
        started_at = changed.started_at,
        completed_at = changed.completed_at
    where id = changed.id
    returning * into changed;
    return changed;
end;
$$;
comment on function private.keep_step is 'Write a step back. Backends only.';
grant execute on function private.keep_step to authenticated, service_role;

-- Open a step of a locked job, at the given or the next place. The owner of a job that waits opens its first, validation.
-- Definer: no role writes the table.
create function private.open_step(
    job_id uuid,
    step public.processing_step,
    step_order integer default null,
    details jsonb default '{}'
)
returns public.processing_timeline
language plpgsql
security definer
set search_path = ''
as $$
declare
    opened public.processing_timeline;
begin
    if step = 'validation' and step_order = 0 then
        perform private.require_owner(job_id);
    else
        perform private.require_service();
    end if;
    insert into public.processing_timeline (job_id, step, step_order, details)
    values (
        open_step.job_id,
        open_step.step,
        coalesce(open_step.step_order, (
            select coalesce(max(timeline.step_order) + 1, 0)
            from public.processing_timeline as timeline
            where timeline.job_id = open_step.job_id
        )),
        coalesce(open_step.details, '{}')
    )
    returning * into opened;
    return opened;
end;
$$;
comment on function private.open_step is 'Open a step of a locked job.';
grant execute on function private.open_step to anon, authenticated, service_role;

-- Begin a step of a job that has not ended, at the given or the next place. An open step of the same kind is
-- taken over and its clock starts again, so a worker that starts again after a crash goes on where it was.
create function public.start_processing_step(
    job_id uuid,
    step public.processing_step,
    step_order integer default null,
    details jsonb default '{}',
    claim bigint default null
)
returns public.processing_timeline
language plpgsql
set search_path = ''
as $$
declare
    started public.processing_timeline;
begin
    perform private.job_for_work(job_id, claim);
    select * into started from public.processing_timeline as timeline
    where timeline.job_id = start_processing_step.job_id
        and timeline.step = start_processing_step.step
        and timeline.completed_at is null;
    if not found then
        return private.open_step(job_id, step, step_order, details);
    end if;
    started.started_at := clock_timestamp();
    started.progress_percentage := 0;
    started.details := started.details || coalesce(details, '{}');
    return private.keep_step(started);
exception
    when unique_violation then
        perform private.fail(
            'order_taken',
            format('The job already has a step at place %s.', step_order),
            jsonb_build_object(
                'job_id', job_id, 'step_order', step_order, 'constraint', 'processing_timeline_order_unique'
            ),
            'Leave step_order out to add the step at the end.'
        );
        return null;
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.processing_timeline', jsonb_build_object(
            'step', step, 'step_order', coalesce(step_order, 0),
            'details', coalesce(started.details, details, '{}')
        )), sqlerrm);
        return null;
end;
$$;
comment on function public.start_processing_step is 'Begin a step; returns it. Backends only.';
grant execute on function public.start_processing_step to authenticated, service_role;

-- Record how far an open step is; details are merged into those it has.
create function public.update_step_progress(
    timeline_id uuid,
    progress_percentage numeric,
    details jsonb default '{}',
    claim bigint default null
)
returns public.processing_timeline
language plpgsql
set search_path = ''
as $$
declare
    step public.processing_timeline;
begin
    perform private.job_of_step(timeline_id, claim);
    select * into step from public.processing_timeline as timeline where timeline.id = timeline_id;
    step.progress_percentage := case
        when progress_percentage between 0 and 100 then greatest(progress_percentage, step.progress_percentage)
        else progress_percentage
    end;
    step.details := step.details || coalesce(details, '{}');
    return private.keep_step(step);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.processing_timeline', jsonb_build_object(
            'progress_percentage', progress_percentage, 'details', step.details
        )), sqlerrm);
        return null;
end;
$$;
comment on function public.update_step_progress is 'Record an open step''s progress in percent; it never goes back.';
grant execute on function public.update_step_progress to authenticated, service_role;

-- End an open step, well or with an error; details are merged into those it has.
create function public.complete_processing_step(
    timeline_id uuid,
    success boolean default true,
    progress_percentage numeric default null,
    details jsonb default '{}',
    error_message text default null,
    error_details jsonb default '{}',
    cpu_usage numeric default null,
    memory_usage bigint default null,
    claim bigint default null
)
returns public.processing_timeline
language plpgsql
set search_path = ''
as $$
declare
    step public.processing_timeline;
begin
    perform private.job_of_step(timeline_id, claim);
    if success is null then
        perform private.refuse_argument('success', 'is required');
    end if;
    select * into step from public.processing_timeline as timeline where timeline.id = timeline_id;
    step.success := success;
    step.completed_at := clock_timestamp();
    step.progress_percentage := coalesce(progress_percentage, case when success then 100 else step.progress_percentage end);
    step.details := step.details || coalesce(details, '{}');
    step.error_message := error_message;
    step.error_details := coalesce(error_details, '{}');
    step.cpu_usage := cpu_usage;
    step.memory_usage := memory_usage;
    return private.keep_step(step);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.processing_timeline', jsonb_strip_nulls(jsonb_build_object(
            'success', success, 'progress_percentage', progress_percentage, 'details', step.details,
            'error_message', error_message, 'error_details', error_details,
            'cpu_usage', cpu_usage, 'memory_usage', memory_usage
        ))), sqlerrm);
        return null;
end;
$$;
comment on function public.complete_processing_step is 'End an open step; returns it. Backends only.';
grant execute on function public.complete_processing_step to authenticated, service_role;

-- The steps of a job in their order.
create function public.get_processing_timeline(job_id uuid)
returns setof public.processing_timeline
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.visible_job(job_id);
    return query
        select * from public.processing_timeline as timeline
        where timeline.job_id = get_processing_timeline.job_id
        order by timeline.step_order;
end;
$$;
comment on function public.get_processing_timeline is 'The steps of a job in order.';
grant execute on function public.get_processing_timeline to anon, authenticated, service_role;

-- Progress of a job, from its steps -----------------------------------------------------------

-- The share of a job's work that each step is. What encoding takes dwarfs the rest.
create table private.step_weights (
    step public.processing_step primary key,
    weight numeric not null check (weight >= 0)
);
alter table private.step_weights enable row level security;
create policy "Everyone may read the weights" on private.step_weights
    for select to anon, authenticated using (true);
grant select on private.step_weights to anon, authenticated, service_role;
comment on table private.step_weights is 'The share of a job''s work that each step is; only the proportions count.';

insert into private.step_weights (step, weight) values
    ('validation', 2), ('download', 10), ('processing', 8), ('composition', 2), ('encoding', 70), ('upload', 6), ('cleanup', 2);

-- How far a job is, in percent, from its steps: those that ended well count whole, an open one by its own progress,
-- each with its weight; of several attempts at a step only those of the present run count.
create function private.progress_from_steps(job public.jobs)
returns numeric
language sql
stable
set search_path = ''
as $$
    select round(coalesce(sum(weights.weight * done.progress_percentage / 100), 0) * 100 / (
        select nullif(sum(weight), 0) from private.step_weights
    ), 2)
    from private.step_weights as weights
    join lateral (
        select case when timeline.success then 100 else timeline.progress_percentage end as progress_percentage
        from public.processing_timeline as timeline
        where timeline.job_id = progress_from_steps.job.id
            and timeline.step = weights.step
            and timeline.success is distinct from false
            and coalesce(timeline.completed_at, 'infinity') >= progress_from_steps.job.started_at
        order by timeline.step_order desc
        limit 1
    ) as done on true;
$$;
comment on function private.progress_from_steps is 'How far a job is, in percent, from its steps.';
grant execute on function private.progress_from_steps to anon, authenticated, service_role;

-- How far a job is, in percent: of one that has ended well 100, of one that is being processed the weighted progress
-- of its steps, if that is more than what was reported of the job itself, of others what they reached.
create function public.calculate_job_progress(job_id uuid)
returns numeric
language plpgsql
stable
set search_path = ''
as $$
declare
    job public.jobs := private.visible_job(job_id);
begin
    if job.status = 'processing' then
        return greatest(private.progress_from_steps(job), job.progress_percentage);
    end if;
    return job.progress_percentage;
end;
$$;
comment on function public.calculate_job_progress is 'How far a job is, in percent, weighted by step.';
grant execute on function public.calculate_job_progress to anon, authenticated, service_role;

-- A step that moves on moves its job on. Definer, as whoever changes the step.
create function private.processing_timeline_lift_progress()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    job public.jobs;
    reached numeric;
begin
    select * into job from public.jobs where jobs.id = new.job_id;
    reached := private.progress_from_steps(job);
    if job.status = 'processing' and reached > job.progress_percentage then
        update public.jobs set progress_percentage = reached where id = job.id;
    end if;
    return null;
end;
$$;
comment on function private.processing_timeline_lift_progress is 'Trigger: the job''s progress follows its steps.';

-- After the step's own event (b_record_event), which thus comes first.
create trigger c_lift_progress after update of progress_percentage, success on public.processing_timeline
    for each row execute function private.processing_timeline_lift_progress();
