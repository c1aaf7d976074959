-- Job events: the append-only log of what happened to each job, and the feed that listeners follow.
-- Triggers write it in the transaction that makes the change, so it can be neither forgotten nor forged.

create table public.job_events (
    id bigint generated always as identity primary key,
    job_id uuid not null references public.jobs (id) on delete cascade,
    seq bigint not null,
    type text not null,
    status public.job_status not null,
    is_terminal boolean not null,
    progress_percentage numeric not null,
    current_step public.processing_step,
    data jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    constraint job_events_seq_unique unique (job_id, seq),
    constraint job_events_type_known check (type in (
        'job.created', 'job.status', 'job.progress',
        'step.started', 'step.progress', 'step.completed',
        'element.added'
    ))
);
alter table public.job_events enable row level security;

comment on table public.job_events is 'What happened to each job, with the job''s state just after it.';
comment on column public.job_events.seq is '1, 2, 3 … within a job, without gaps, in the order of commits.';
comment on column public.job_events.data is 'What the type adds: the step''s or element''s columns, the error or result.';

grant select on public.job_events to anon, authenticated, service_role;
create policy "Who sees a job sees its events" on public.job_events
    for select to anon, authenticated using (
        exists (select from public.jobs where jobs.id = job_events.job_id)
    );

-- Append one event to a job. The update of event_seq locks the job's row until the transaction ends:
-- that makes seq contiguous, and its order the order of commits.
create function private.append_event(job_id uuid, type text, data jsonb)
returns void
language sql
set search_path = ''
as $$
    with job as (
        update public.jobs set event_seq = event_seq + 1
        where id = append_event.job_id
        returning *
    )
    insert into public.job_events (
        job_id, seq, type, status, is_terminal, progress_percentage, current_step, data
    )
    select id, event_seq, append_event.type, status, is_terminal, progress_percentage, current_step, append_event.data
    from job;
$$;
comment on function private.append_event is 'Append one event to a job''s log. For triggers.';

-- One event for a job's creation and for each change of status or progress.
-- Definer, like the two below: whoever makes a change cannot write the log itself.
create function private.jobs_record_event()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        perform private.append_event(new.id, 'job.created', jsonb_build_object(
            'output_format', new.output_format, 'width', new.width, 'height', new.height
        ));
    elsif new.status is distinct from old.status then
        perform private.append_event(new.id, 'job.status', jsonb_strip_nulls(jsonb_build_object(
            'from', old.status, 'error_code', new.error_code, 'error_message', new.error_message,
            'output_url', new.output_url, 'output_size', new.output_size, 'actual_duration', new.actual_duration
        )));
    else
        perform private.append_event(new.id, 'job.progress', '{}');
    end if;
    return null;
end;
$$;
comment on function private.jobs_record_event is 'Trigger: logs creation, status and progress of a job.';

-- Triggers of one table fire in the order of their names: the steps that a change of status closes
-- are logged before the change itself, so job.status is the last event of a job that ends.
create trigger b_record_creation after insert on public.jobs
    for each row execute function private.jobs_record_event();
create trigger b_record_event after update of status, progress_percentage on public.jobs
    for each row when (
        old.status is distinct from new.status
        or old.progress_percentage is distinct from new.progress_percentage
        or old.current_step is distinct from new.current_step
    )
    execute function private.jobs_record_event();

-- One event for each start, progress and end of a step. A step that starts becomes the job's current one.
create function private.processing_timeline_record_event()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    kind text := case
        when tg_op = 'INSERT' or new.started_at <> old.started_at then 'step.started'
        when new.completed_at is not null then 'step.completed'
        else 'step.progress'
    end;
begin
    if kind = 'step.started' then
        update public.jobs set current_step = new.step where id = new.job_id;
    end if;
    perform private.append_event(new.job_id, kind, jsonb_strip_nulls(jsonb_build_object(
        'timeline_id', new.id, 'step', new.step, 'step_order', new.step_order,
        'progress_percentage', new.progress_percentage, 'success', new.success, 'duration_ms', new.duration_ms,
        'error_message', new.error_message, 'cpu_usage', new.cpu_usage, 'memory_usage', new.memory_usage
    )));
    return null;
end;
$$;
comment on function private.processing_timeline_record_event is 'Trigger: logs start, progress and end of a step.';

create trigger b_record_event after insert or update on public.processing_timeline
    for each row execute function private.processing_timeline_record_event();

-- One event for each element that a job gets.
create function private.elements_record_event()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.append_event(new.job_id, 'element.added', jsonb_strip_nulls(jsonb_build_object(
        'element_id', new.id, 'type', new.type, 'element_order', new.element_order, 'track', new.track
    )));
    return null;
end;
$$;
comment on function private.elements_record_event is 'Trigger: logs the elements of a job.';

create trigger b_record_event after insert on public.elements
    for each row execute function private.elements_record_event();

-- The events of a job after a seq, in order: how a listener catches up and closes gaps.
create function public.read_job_events(
    job_id uuid,
    after_seq bigint default 0,
    max_events integer default 500
)
returns setof public.job_events
language plpgsql
stable
set search_path = ''
as $$
declare
    job public.jobs := private.visible_job(job_id);
begin
    if after_seq not between 0 and job.event_seq then
        perform private.refuse_argument(
            'after_seq', format('must be 0 to %s, the seq of the job''s newest event', job.event_seq)
        );
    end if;
    return query
        select * from public.job_events as events
        where events.job_id = read_job_events.job_id and events.seq > coalesce(read_job_events.after_seq, 0)
        order by events.seq
        limit least(greatest(coalesce(read_job_events.max_events, 500), 1), 1000);
end;
$$;
comment on function public.read_job_events is 'The events of a job after a seq, in order.';
grant execute on function public.read_job_events to anon, authenticated, service_role;

-- Realtime follows this publication; every Supabase project has it. A plain Postgres gets it here.
do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
end;
$$;
alter publication supabase_realtime add table public.job_events;
