-- Job events: the append-only log of what happened to each job, and the feed that listeners follow.
-- Triggers write it in the transaction that makes the change, so it can be neither forgotten nor forged.

create table public.job_events (
    id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    job_id uuid not null references public.jobs (id) on delete cascade,
    user_id uuid,
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
        'job.created', 'job.status', 'job.progress', 'job.paused', 'job.resumed',
        'step.started', 'step.progress', 'step.completed',
        'element.added', 'element.updated', 'element.removed',
        'storage.operation', 'url.accessed'
    ))
);
alter table public.job_events enable row level security;

comment on table public.job_events is 'What happened to each job, with the job''s state just after it.';
comment on column public.job_events.xid is 'The transaction that wrote the event, or a later one that wrote to the job before; with id the order of the whole log.';
comment on column public.job_events.user_id is 'The job''s user, so that one can listen to all jobs of a user.';
comment on column public.job_events.seq is '1, 2, 3 … within a job, without gaps, in the order of commits.';
comment on column public.job_events.data is 'What the type adds: the columns of the step, element, operation or access; the error or result.';

-- The order of the whole log, for all and for one user.
create index job_events_log on public.job_events (xid, id);
create index job_events_by_user on public.job_events (user_id, xid, id);

grant select on public.job_events to anon, authenticated, service_role;
create policy "Anonymous clients see events of jobs of their address, or watched" on public.job_events
    for select to anon using (
        job_id = (select private.watched_job())
        or exists (select from public.jobs where jobs.id = job_events.job_id)
    );
create policy "Users see events of jobs of their own, or watched; backends all" on public.job_events
    for select to authenticated using (
        job_id = (select private.watched_job())
        or ((select private.watched_job()) is null and user_id = (select private.user_id()))
        or (select private.is_service())
    );

-- Writing ------------------------------------------------------------------------------------

-- Append events to the logs of jobs, the n-th of each list together. The update of event_seq locks a job's row until
-- the transaction ends: that makes seq contiguous, and its order the order of commits. Several jobs are
-- locked in order of their ids, as by everyone. A transaction that began early and came to this job late goes by the
-- number of the one that came before it: so the whole log has each job's events in the order of their seq.
create function private.append_events(job_ids uuid[], types text[], data jsonb[])
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform from public.jobs where id = any (job_ids) order by id for no key update;
    with entry as (
        select
            given.*,
            row_number() over (partition by given.job_id order by given.place) as number,
            count(*) over (partition by given.job_id) as total
        from unnest(job_ids, types, data) with ordinality as given (job_id, type, data, place)
    ),
    job as (
        update public.jobs set event_seq = event_seq + entry.total
        from entry
        where jobs.id = entry.job_id and entry.number = 1
        returning jobs.*, entry.total
    )
    insert into public.job_events (
        xid, job_id, user_id, seq, type, status, is_terminal, progress_percentage, current_step, data
    )
    select
        greatest(pg_current_xact_id(), (
            select newest.xid from public.job_events as newest
            where newest.job_id = job.id and newest.seq = job.event_seq - job.total
        )),
        job.id, job.user_id, job.event_seq - job.total + entry.number, entry.type, job.status, job.is_terminal,
        job.progress_percentage, job.current_step, entry.data
    from entry join job on job.id = entry.job_id
    order by entry.place;
end;
$$;
comment on function private.append_events is 'Append events to the logs of jobs. For triggers.';

-- Append one event to a job's log.
create function private.append_event(job_id uuid, type text, data jsonb)
returns void
language sql
set search_path = ''
as $$
    select private.append_events(array[append_event.job_id], array[append_event.type], array[append_event.data]);
$$;
comment on function private.append_event is 'Append one event to a job''s log. For triggers.';

-- One event for a job's creation and for each change of status, progress or pause.
-- Definer, like the ones below: whoever makes a change cannot write the log itself.
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
        )) || private.attempt_ended(new, old));
    elsif new.paused_at is distinct from old.paused_at then
        perform private.append_event(new.id, case when new.paused_at is null then 'job.resumed' else 'job.paused' end, '{}');
    else
        perform private.append_event(new.id, 'job.progress', '{}');
    end if;
    return null;
end;
$$;
comment on function private.jobs_record_event is 'Trigger: logs creation, status, progress and pauses of a job.';

-- What a change of status back to pending says of the attempt before: why it ended, and when the next one is due.
create function private.attempt_ended(job public.jobs, before public.jobs)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select coalesce((
        select jsonb_strip_nulls(jsonb_build_object(
            'available_at', job.available_at, 'retry_count', job.retry_count, 'rescue_count', job.rescue_count,
            'attempt', claims.outcome, 'error_code', claims.error_code, 'error_message', claims.error_message
        ))
        from public.job_claims as claims
        where claims.job_id = job.id and before.status = 'processing' and job.status = 'pending'
            and claims.claimed_at >= before.started_at
        order by claims.id desc limit 1
    ), '{}');
$$;
comment on function private.attempt_ended is 'What a job that waits again says of the attempt before.';

-- Triggers of one table fire in the order of their names: the steps that a change of status closes
-- are logged before the change itself, so job.status is the last event of a job that ends.
create trigger b_record_creation after insert on public.jobs
    for each row execute function private.jobs_record_event();
create trigger b_record_event after update of status, progress_percentage, paused_at on public.jobs
    for each row when (
        old.status is distinct from new.status
        or old.progress_percentage is distinct from new.progress_percentage
        or old.current_step is distinct from new.current_step
        or old.paused_at is distinct from new.paused_at
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

-- What the log says of elements.
create function private.element_data(element public.elements)
returns jsonb
language sql
stable
set search_path = ''
as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'element_id', element.id, 'type', element.type, 'element_order', element.element_order,
        'track', element.track, 'processing_state', element.processing_state, 'error_message', element.error_message
    ));
$$;
comment on function private.element_data is 'What the log says of an element.';

-- One event for each element that is added, changed or removed, written once a statement. A job that is
-- deleted with its elements has no log any more.
create function private.elements_record_event()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    kind text := case tg_op when 'INSERT' then 'element.added' when 'UPDATE' then 'element.updated' else 'element.removed' end;
    job_ids uuid[];
    entries jsonb[];
begin
    select array_agg(job_id order by element_order), array_agg(private.element_data(changed) order by element_order)
    into job_ids, entries
    from changed;
    if job_ids is not null then
        perform private.append_events(job_ids, array_fill(kind, array[cardinality(job_ids)]), entries);
    end if;
    return null;
end;
$$;
comment on function private.elements_record_event is 'Trigger: logs the elements of jobs.';

create trigger b_record_addition after insert on public.elements
    referencing new table as changed
    for each statement execute function private.elements_record_event();
create trigger b_record_change after update on public.elements
    referencing new table as changed
    for each statement execute function private.elements_record_event();
create trigger b_record_removal after delete on public.elements
    referencing old table as changed
    for each statement execute function private.elements_record_event();

-- One event for each storage operation of a job.
create function private.storage_operations_record_event()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    job_ids uuid[];
    entries jsonb[];
begin
    select array_agg(job_id order by created_at, id), array_agg(jsonb_strip_nulls(jsonb_build_object(
        'storage_operation_id', id, 'operation', operation, 'bucket', bucket, 'key', key, 'success', success,
        'file_size', file_size, 'duration_ms', duration_ms, 'error_message', error_message
    )) order by created_at, id)
    into job_ids, entries
    from added where job_id is not null;
    if job_ids is not null then
        perform private.append_events(job_ids, array_fill('storage.operation'::text, array[cardinality(job_ids)]), entries);
    end if;
    return null;
end;
$$;
comment on function private.storage_operations_record_event is 'Trigger: logs the storage operations of jobs.';

create trigger b_record_event after insert on public.storage_operations
    referencing new table as added
    for each statement execute function private.storage_operations_record_event();

insert into private.settings (name, form, value, description) values
    (
        'log_url_accesses_as_events', 'true or false', 'true',
        'Whether each access to a finished video is an event of its job. Set it to false where videos are '
        'watched so often that writing to one job''s log would hold accesses up.'
    ),
    (
        'broadcast_job_events', 'true or false', 'false',
        'Whether each event is also broadcast by Realtime, to the private topics job:<id> and user:<id>.'
    );

-- One event for each access to a job's video. Who it was stays in url_access_logs.
create function private.url_access_logs_record_event()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    job_ids uuid[];
    entries jsonb[];
begin
    if private.setting('log_url_accesses_as_events') = 'false' then
        return null;
    end if;
    select array_agg(job_id order by accessed_at, id), array_agg(jsonb_strip_nulls(jsonb_build_object(
        'url_access_id', id, 'status_code', status_code, 'country', country, 'bytes_sent', bytes_sent
    )) order by accessed_at, id)
    into job_ids, entries
    from added;
    if job_ids is not null then
        perform private.append_events(job_ids, array_fill('url.accessed'::text, array[cardinality(job_ids)]), entries);
    end if;
    return null;
end;
$$;
comment on function private.url_access_logs_record_event is 'Trigger: logs accesses to the videos of jobs.';

create trigger b_record_event after insert on public.url_access_logs
    referencing new table as added
    for each statement execute function private.url_access_logs_record_event();

-- Reading ------------------------------------------------------------------------------------

-- The types of events, as the rule of the table has them.
create function private.event_types()
returns text[]
language sql
stable
set search_path = ''
as $$
    select array(
        select word[1] from regexp_matches(
            (select pg_get_expr(conbin, conrelid) from pg_catalog.pg_constraint where conname = 'job_events_type_known'),
            '''([a-z.]+)''', 'g'
        ) as word
    );
$$;
comment on function private.event_types is 'The types of events.';
grant execute on function private.event_types to anon, authenticated, service_role;

-- Refuse types that no event has: a misspelt one would find nothing, in silence.
create function private.require_event_types(types text[])
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not types <@ private.event_types() then
        perform private.refuse_argument('types', 'must be of ' || array_to_string(private.event_types(), ', '));
    end if;
end;
$$;
comment on function private.require_event_types is 'Refuse types that no event has.';
grant execute on function private.require_event_types to anon, authenticated, service_role;

-- The events of a job after a seq, in order: how a listener catches up and closes gaps. With `types`, of these only.
create function public.read_job_events(
    job_id uuid,
    after_seq bigint default 0,
    max_events integer default 500,
    types text[] default null
)
returns setof public.job_events
language plpgsql
stable
set search_path = ''
as $$
declare
    job public.jobs := private.visible_job(job_id);
    -- A plan that knows no argument's value would not look for an expression in the index, and read the whole log.
    seen bigint := coalesce(after_seq, 0);
begin
    perform private.require_range('max_events', coalesce(max_events, 500), 1, 1000);
    perform private.require_event_types(types);
    if after_seq not between 0 and job.event_seq then
        perform private.refuse_argument(
            'after_seq', format('must be 0 to %s, the seq of the job''s newest event', job.event_seq)
        );
    end if;
    return query
        select * from public.job_events as events
        where events.job_id = read_job_events.job_id
            and events.seq > seen
            and (read_job_events.types is null or events.type = any (read_job_events.types))
        order by events.seq
        limit coalesce(read_job_events.max_events, 500);
end;
$$;
comment on function public.read_job_events is 'The events of a job after a seq, in order.';
grant execute on function public.read_job_events to anon, authenticated, service_role;

create type public.event_page as (items public.job_events[], next_cursor text, more boolean, horizon xid8);
comment on type public.event_page is 'A stretch of the log; next_cursor is where the next one begins, more whether there is one yet. What has an xid below the horizon is in the log or comes no more.';

-- The end of the log as far as it can be read: just behind the last event before the horizon. The horizon itself will not
-- do for a cursor: a crash forgets the numbers of transactions that changed nothing, and gives them out again. Definer:
-- the log ends where it does whatever of it the caller may see.
create function private.log_end()
returns xid8
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce((
        select (events.xid::text::bigint + 1)::text::xid8
        from public.job_events as events
        where events.xid < private.log_horizon()
        order by events.xid desc
        limit 1
    ), '1');
$$;
comment on function private.log_end is 'What has a smaller xid is in the log or comes no more.';
grant execute on function private.log_end to anon, authenticated, service_role;

-- Where the log ends now: a cursor for those who want only what comes later.
create function public.get_event_cursor()
returns text
language sql
stable
set search_path = ''
as $$
    select private.cursor('events', to_jsonb(private.log_end()), '0');
$$;
comment on function public.get_event_cursor is 'Where the log ends now, as a cursor.';
grant execute on function public.get_event_cursor to anon, authenticated, service_role;

-- The log of all jobs that the caller may see, after a cursor: of one user, of some types, of jobs in some states. Without
-- a cursor from the beginning. Ordered by transaction; a read ends before the oldest transaction that is still open, so
-- what commits late comes later and is never skipped. The page's next_cursor is where to go on, also from an empty page.
create function public.read_events(
    after text default null,
    types text[] default null,
    user_id uuid default null,
    status public.job_status[] default null,
    max_events integer default 500
)
returns public.event_page
language plpgsql
stable
set search_path = ''
as $$
declare
    place record := private.log_place(after);
    horizon xid8 := private.log_end();
    rows public.job_events[];
    last public.job_events;
begin
    perform private.require_range('max_events', max_events, 1, 1000);
    perform private.require_event_types(types);
    execute 'select array_agg(page.event) from (select events as event from public.job_events as events where '
        || concat_ws(
            ' and ',
            'events.xid < $1',
            case when after is not null then '(events.xid, events.id) > ($2, $3)' end,
            -- What row-level security demands anyway, in a form that an index answers.
            case
                when private.is_service() then null
                when private.watched_job() is not null then 'events.job_id = private.watched_job()'
                when auth.role() = 'anon' then
                    'events.job_id in (select id from public.jobs where client_ip = private.client_ip())'
                else 'events.user_id = private.user_id()'
            end,
            case when types is not null then 'events.type = any ($4)' end,
            case when user_id is not null then 'events.user_id = $5' end,
            case when status is not null then 'events.status = any ($6)' end
        )
        || ' order by events.xid, events.id limit $7) as page'
    into rows
    using horizon, place.xid, place.id, types, user_id, status, max_events;
    if cardinality(rows) = max_events then
        last := rows[max_events];
        return (rows, private.cursor('events', to_jsonb(last.xid), last.id::text), true, horizon);
    end if;
    return (
        coalesce(rows, '{}'),
        -- A cursor may lie ahead of what is left of the log when old jobs were removed; it stays where it is.
        private.cursor('events', to_jsonb(greatest(horizon, place.xid)), coalesce(
            case when place.xid >= horizon then place.id::text end, '0'
        )),
        false,
        horizon
    );
end;
$$;
comment on function public.read_events is 'A stretch of the log of all jobs, after a cursor.';
grant execute on function public.read_events to anon, authenticated, service_role;

-- Consumers ----------------------------------------------------------------------------------

-- Named readers of the whole log that keep their place here. One instance at a time holds the lease; `lease` numbers
-- those, so that one that lost it can neither commit nor hold on.
create table public.event_consumers (
    name text primary key,
    position_xid xid8 not null,
    position_id bigint not null,
    lease bigint not null default 0,
    holder text,
    lease_expires_at timestamptz,
    committed_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    constraint event_consumers_name_form check (name ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$'),
    constraint event_consumers_holder_length check (length(holder) between 1 and 200),
    constraint event_consumers_held_until check ((holder is null) = (lease_expires_at is null))
);
alter table public.event_consumers enable row level security;
comment on table public.event_consumers is 'Named readers of the log and how far they are.';
comment on column public.event_consumers.position_xid is 'With position_id: the last event that is done with.';
comment on column public.event_consumers.lease is 'Number of the newest lease; it goes up with each.';
comment on constraint event_consumers_name_form on public.event_consumers is
    'must have 1 to 100 letters, digits, dots, colons, dashes or underscores';
comment on constraint event_consumers_holder_length on public.event_consumers is 'must have 1 to 200 characters';

-- No role writes the table: the functions do, through definers in private.
grant select on public.event_consumers to authenticated, service_role;
create policy "Backends see consumers" on public.event_consumers
    for select to authenticated using ((select private.is_service()));

-- Events that a consumer could not handle and went past, kept until somebody sees to them. With the event itself: the log forgets
-- it with its job.
create table public.event_dead_letters (
    consumer text not null references public.event_consumers (name) on delete cascade,
    event_id bigint not null,
    event jsonb not null,
    attempts integer not null,
    error text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (consumer, event_id),
    constraint event_dead_letters_attempts_range check (attempts between 1 and 1000000),
    constraint event_dead_letters_error_length check (length(error) between 1 and 2000)
);
alter table public.event_dead_letters enable row level security;
comment on table public.event_dead_letters is 'Events that consumers could not handle and went past.';
comment on column public.event_dead_letters.event is 'The row of job_events.';
comment on column public.event_dead_letters.error is 'Why the last attempt failed.';
comment on constraint event_dead_letters_attempts_range on public.event_dead_letters is 'must be 1 to 1000000';
comment on constraint event_dead_letters_error_length on public.event_dead_letters is 'must have 1 to 2000 characters';

create index event_dead_letters_oldest on public.event_dead_letters (created_at);

grant select on public.event_dead_letters to authenticated, service_role;
create policy "Backends see dead letters" on public.event_dead_letters
    for select to authenticated using ((select private.is_service()));

create type public.event_dead_letter_page as (items public.event_dead_letters[], next_cursor text);
comment on type public.event_dead_letter_page is 'One page of dead letters; next_cursor is null on the last.';

create type public.event_consumer as (
    name text,
    cursor text,
    lease bigint,
    holder text,
    lease_expires_at timestamptz,
    committed_at timestamptz
);
comment on type public.event_consumer is 'A consumer, with its place as a cursor for read_events.';

-- A consumer's row as callers see it.
create function private.shown_consumer(consumer public.event_consumers)
returns public.event_consumer
language sql
stable
set search_path = ''
as $$
    select (
        consumer.name,
        private.cursor('events', to_jsonb(consumer.position_xid), consumer.position_id::text),
        consumer.lease,
        consumer.holder,
        consumer.lease_expires_at,
        consumer.committed_at
    )::public.event_consumer;
$$;
comment on function private.shown_consumer is 'A consumer''s row as callers see it.';
grant execute on function private.shown_consumer to authenticated, service_role;

-- A consumer, locked; else not_found. Definer, like the two below: no role writes the table.
create function private.known_consumer(name text)
returns public.event_consumers
language plpgsql
security definer
set search_path = ''
as $$
declare
    consumer public.event_consumers;
begin
    perform private.require_service();
    select * into consumer from public.event_consumers as kept where kept.name = known_consumer.name for update;
    if not found then
        perform private.fail(
            'not_found',
            format('There is no consumer %s.', coalesce(name, 'without a name')),
            jsonb_build_object('name', name),
            'acquire_event_consumer makes it.'
        );
    end if;
    return consumer;
end;
$$;
comment on function private.known_consumer is 'A consumer, locked; else not_found. Backends only.';
grant execute on function private.known_consumer to authenticated, service_role;

-- Write a consumer; one that is there and locked is written back, `only_new` leaves it as it is.
create function private.keep_consumer(changed public.event_consumers, only_new boolean default false)
returns public.event_consumer
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    insert into public.event_consumers (name, position_xid, position_id)
    values (changed.name, changed.position_xid, changed.position_id)
    on conflict do nothing;
    if not only_new then
        update public.event_consumers as kept set
            position_xid = changed.position_xid,
            position_id = changed.position_id,
            lease = changed.lease,
            holder = changed.holder,
            lease_expires_at = changed.lease_expires_at,
            committed_at = changed.committed_at
        where kept.name = changed.name;
    end if;
    return private.shown_consumer(changed);
end;
$$;
comment on function private.keep_consumer is 'Write a consumer. Backends only.';
grant execute on function private.keep_consumer to authenticated, service_role;

-- Remove a consumer.
create function private.remove_consumer(name text)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    delete from public.event_consumers as kept where kept.name = remove_consumer.name;
end;
$$;
comment on function private.remove_consumer is 'Remove a consumer. Backends only.';
grant execute on function private.remove_consumer to authenticated, service_role;

-- An event of the log as far as it can be read; else not_found, also for one whose job was deleted meanwhile.
create function private.told_event(event_id bigint)
returns public.job_events
language plpgsql
stable
set search_path = ''
as $$
declare
    event public.job_events;
begin
    select * into event from public.job_events as events where events.id = told_event.event_id;
    if not found then
        perform private.fail(
            'not_found',
            format('There is no event %s.', coalesce(event_id::text, 'without an id')),
            jsonb_build_object('event_id', event_id),
            'The log forgets the events of a job that is deleted.'
        );
    end if;
    if event.xid >= private.log_horizon() then
        -- Something before it may yet be committed.
        perform private.refuse_argument('event_id', 'must be of an event that read_events has told');
    end if;
    return event;
end;
$$;
comment on function private.told_event is 'An event of the log as far as it can be read; else not_found.';
grant execute on function private.told_event to authenticated, service_role;

-- Become the one active instance of a consumer for the length of a lease, or go on being it. A new consumer begins
-- at `start`: a cursor, or without one at the beginning of the log.
create function public.acquire_event_consumer(
    name text,
    holder text,
    lease_time interval default '60 seconds',
    start text default null
)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
declare
    place record := private.log_place(start);
    consumer public.event_consumers;
begin
    perform private.require_service();
    perform private.require_lease(lease_time);
    if holder is null then
        perform private.refuse_argument('holder', 'is required');
    end if;
    consumer.name := name;
    consumer.position_xid := coalesce(place.xid, '0');
    consumer.position_id := coalesce(place.id, 0);
    perform private.keep_consumer(consumer, only_new => true);
    consumer := private.known_consumer(name);
    if consumer.holder <> acquire_event_consumer.holder and consumer.lease_expires_at > clock_timestamp() then
        perform private.fail(
            'consumer_busy',
            format('The consumer %s is held by %s.', consumer.name, consumer.holder),
            jsonb_build_object('name', consumer.name, 'holder', consumer.holder, 'lease_expires_at', consumer.lease_expires_at),
            'Try again when its lease has expired, or stop the other instance.'
        );
    end if;
    consumer.lease := consumer.lease + 1;
    consumer.holder := holder;
    consumer.lease_expires_at := clock_timestamp() + lease_time;
    return private.keep_consumer(consumer);
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.event_consumers', jsonb_build_object(
            'name', name, 'holder', holder, 'lease_expires_at', now()
        )), sqlerrm);
        return null;
end;
$$;
comment on function public.acquire_event_consumer is 'Become the one active instance of a consumer. Backends only.';
grant execute on function public.acquire_event_consumer to authenticated, service_role;

-- Say that all events up to a cursor, or up to and with an event, are done with, and hold the lease on. Refused to who has lost the
-- lease, and for a place before the present one.
create function public.commit_event_consumer(
    name text,
    lease bigint,
    cursor text default null,
    lease_time interval default '60 seconds',
    event_id bigint default null
)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
declare
    place record := private.log_place(cursor);
    consumer public.event_consumers := private.held_consumer(name, lease);
    event public.job_events;
begin
    if event_id is not null then
        if cursor is not null then
            perform private.refuse_argument('event_id', 'cannot be given with a cursor');
        end if;
        event := private.told_event(event_id);
        place.xid := event.xid;
        place.id := event.id;
    end if;
    return private.commit_place(consumer, place.xid, place.id, lease_time);
end;
$$;
comment on function public.commit_event_consumer is 'Commit a consumer''s place and hold its lease. Backends only.';
grant execute on function public.commit_event_consumer to authenticated, service_role;

-- Move a consumer, held and locked, on to a place; without one it stays. Its lease begins anew.
create function private.commit_place(
    consumer public.event_consumers,
    place_xid xid8,
    place_id bigint,
    lease_time interval
)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_lease(lease_time);
    if (place_xid, place_id) < (consumer.position_xid, consumer.position_id) then
        perform private.fail(
            'cursor_behind',
            format('The consumer %s has committed a later place already.', consumer.name),
            jsonb_build_object('name', consumer.name, 'committed_at', consumer.committed_at),
            'Use seek_event_consumer to go back on purpose.'
        );
    end if;
    if place_xid is not null then
        consumer.position_xid := place_xid;
        consumer.position_id := place_id;
        consumer.committed_at := clock_timestamp();
    end if;
    consumer.lease_expires_at := clock_timestamp() + lease_time;
    return private.keep_consumer(consumer);
end;
$$;
comment on function private.commit_place is 'Move a consumer on and hold its lease.';
grant execute on function private.commit_place to authenticated, service_role;

-- A consumer, locked, if the caller holds this lease; else not_found or lease_lost.
create function private.held_consumer(name text, lease bigint)
returns public.event_consumers
language plpgsql
set search_path = ''
as $$
declare
    consumer public.event_consumers := private.known_consumer(name);
begin
    if consumer.holder is null or consumer.lease is distinct from held_consumer.lease then
        perform private.fail(
            'lease_lost',
            format('The lease %s of the consumer %s is over.', coalesce(lease::text, 'without a number'), name),
            jsonb_build_object('name', name, 'lease', lease, 'holder', consumer.holder),
            'Acquire the consumer again and go on from its cursor.'
        );
    end if;
    return consumer;
end;
$$;
comment on function private.held_consumer is 'A consumer, locked, if the caller holds its lease.';
grant execute on function private.held_consumer to authenticated, service_role;

-- Give the lease up, so that another instance can go on at once.
create function public.release_event_consumer(name text, lease bigint)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
declare
    consumer public.event_consumers := private.held_consumer(name, lease);
begin
    consumer.holder := null;
    consumer.lease_expires_at := null;
    return private.keep_consumer(consumer);
end;
$$;
comment on function public.release_event_consumer is 'Give up a consumer''s lease. Backends only.';
grant execute on function public.release_event_consumer to authenticated, service_role;

-- Move a consumer to another place on purpose, back or forward; without a cursor to the beginning. Whoever holds it loses its lease.
create function public.seek_event_consumer(name text, cursor text default null)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
declare
    place record := private.log_place(cursor);
    consumer public.event_consumers := private.known_consumer(name);
begin
    consumer.position_xid := coalesce(place.xid, '0');
    consumer.position_id := coalesce(place.id, 0);
    consumer.lease := consumer.lease + 1;
    consumer.holder := null;
    consumer.lease_expires_at := null;
    return private.keep_consumer(consumer);
end;
$$;
comment on function public.seek_event_consumer is 'Move a consumer to another place. Backends only.';
grant execute on function public.seek_event_consumer to authenticated, service_role;

-- All consumers.
create function public.list_event_consumers()
returns setof public.event_consumer
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_service();
    return query
        select shown.* from public.event_consumers as kept, private.shown_consumer(kept) as shown
        order by kept.name;
end;
$$;
comment on function public.list_event_consumers is 'All consumers with their places. Backends only.';
grant execute on function public.list_event_consumers to authenticated, service_role;

-- Forget a consumer and its place.
create function public.delete_event_consumer(name text)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
declare
    consumer public.event_consumers := private.known_consumer(name);
begin
    perform private.remove_consumer(consumer.name);
    return private.shown_consumer(consumer);
end;
$$;
comment on function public.delete_event_consumer is 'Forget a consumer. Backends only.';
grant execute on function public.delete_event_consumer to authenticated, service_role;

-- Dead letters --------------------------------------------------------------------------------

-- Keep an event that a consumer could not handle, in place of what was kept of it before. Definer, like the next one: no role
-- writes the table.
create function private.keep_dead_letter(consumer text, event public.job_events, attempts integer, error text)
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    insert into public.event_dead_letters (consumer, event_id, event, attempts, error)
    values (consumer, event.id, to_jsonb(event), attempts, error)
    on conflict on constraint event_dead_letters_pkey do update set
        attempts = excluded.attempts,
        error = excluded.error,
        created_at = excluded.created_at;
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.event_dead_letters', jsonb_build_object(
            'attempts', attempts, 'error', error
        )), sqlerrm);
end;
$$;
comment on function private.keep_dead_letter is 'Keep an event that a consumer could not handle. Backends only.';
grant execute on function private.keep_dead_letter to authenticated, service_role;

-- Remove a dead letter; null when there is none.
create function private.remove_dead_letter(consumer text, event_id bigint)
returns public.event_dead_letters
language plpgsql
security definer
set search_path = ''
as $$
declare
    removed public.event_dead_letters;
begin
    perform private.require_service();
    delete from public.event_dead_letters as kept
    where kept.consumer = remove_dead_letter.consumer and kept.event_id = remove_dead_letter.event_id
    returning * into removed;
    return removed;
end;
$$;
comment on function private.remove_dead_letter is 'Remove a dead letter. Backends only.';
grant execute on function private.remove_dead_letter to authenticated, service_role;

-- Give an event up: keep it as a dead letter, with how often it was tried and why that failed, and commit it with all events before
-- it. Both or neither, and refused to who has lost the lease.
create function public.dead_letter_event(
    name text,
    lease bigint,
    event_id bigint,
    attempts integer,
    error text,
    lease_time interval default '60 seconds'
)
returns public.event_consumer
language plpgsql
set search_path = ''
as $$
declare
    consumer public.event_consumers := private.held_consumer(name, lease);
    event public.job_events := private.told_event(event_id);
begin
    perform private.keep_dead_letter(name, event, attempts, error);
    return private.commit_place(consumer, event.xid, event.id, lease_time);
end;
$$;
comment on function public.dead_letter_event is 'Keep an event as a dead letter and commit it. Backends only.';
grant execute on function public.dead_letter_event to authenticated, service_role;

-- The dead letters of a consumer, or of all, by consumer and event, a page at a time.
create function public.list_event_dead_letters(
    consumer text default null,
    page_size integer default 50,
    cursor text default null
)
returns public.event_dead_letter_page
language plpgsql
stable
set search_path = ''
as $$
declare
    place record;
    rows public.event_dead_letters[];
    last public.event_dead_letters;
begin
    perform private.require_service();
    perform private.require_range('page_size', page_size, 1, 500);
    place := private.cursor_place('event_dead_letters', list_event_dead_letters.cursor, 'text', 'bigint');
    rows := array(
        select letters
        from public.event_dead_letters as letters
        where (list_event_dead_letters.consumer is null or letters.consumer = list_event_dead_letters.consumer)
            and (
                list_event_dead_letters.cursor is null
                or (letters.consumer, letters.event_id) > (place.value, place.id::bigint)
            )
        order by letters.consumer, letters.event_id
        -- One more than asked for tells whether there is a next page.
        limit list_event_dead_letters.page_size + 1
    );
    if cardinality(rows) <= page_size then
        return (rows, null::text);
    end if;
    last := rows[page_size];
    return (rows[1:page_size], private.cursor('event_dead_letters', to_jsonb(last.consumer), last.event_id::text));
end;
$$;
comment on function public.list_event_dead_letters is 'A page of dead letters. Backends only.';
grant execute on function public.list_event_dead_letters to authenticated, service_role;

-- Throw a dead letter away: it was handled after all, or need not be.
create function public.delete_event_dead_letter(consumer text, event_id bigint)
returns public.event_dead_letters
language plpgsql
set search_path = ''
as $$
declare
    removed public.event_dead_letters := private.remove_dead_letter(consumer, event_id);
begin
    if removed.event_id is null then
        perform private.fail(
            'not_found',
            format('The consumer %s has no dead letter %s.', consumer, event_id),
            jsonb_build_object('consumer', consumer, 'event_id', event_id),
            'list_event_dead_letters tells which there are.'
        );
    end if;
    return removed;
end;
$$;
comment on function public.delete_event_dead_letter is 'Throw a dead letter away. Backends only.';
grant execute on function public.delete_event_dead_letter to authenticated, service_role;

-- Live --------------------------------------------------------------------------------------

alter publication supabase_realtime add table public.job_events;

-- The other way to many viewers: each event broadcast to the job's topic and its user's. realtime.send, where there is
-- one, never fails the change; it is looked up by name, since not every Postgres has Realtime.
create function private.job_events_broadcast()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    event public.job_events;
begin
    if private.setting('broadcast_job_events') = 'true'
        and to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null
    then
        for event in select * from added order by id loop
            execute 'select realtime.send($1, $2, $3, true)' using to_jsonb(event), event.type, 'job:' || event.job_id;
            if event.user_id is not null then
                execute 'select realtime.send($1, $2, $3, true)' using to_jsonb(event), event.type, 'user:' || event.user_id;
            end if;
        end loop;
    end if;
    return null;
end;
$$;
comment on function private.job_events_broadcast is 'Trigger: broadcasts events where the setting says so.';

create trigger c_broadcast after insert on public.job_events
    referencing new table as added
    for each statement execute function private.job_events_broadcast();

-- Whether the caller may listen to a private topic: job:<id> whoever sees the job, user:<id> that user; backends all.
create function private.may_listen(topic text)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
declare
    kind text := split_part(topic, ':', 1);
    subject uuid;
begin
    subject := substr(topic, length(kind) + 2)::uuid;
    return case kind
        when 'job' then exists (select from public.jobs where jobs.id = subject)
        when 'user' then private.is_service() or (subject = private.user_id() and private.watched_job() is null)
        else false
    end;
exception
    when invalid_text_representation then
        return false;
end;
$$;
comment on function private.may_listen is 'Whether the caller may listen to a private topic of ours.';
grant execute on function private.may_listen to anon, authenticated, service_role;

-- Only the database broadcasts on these topics: there is no policy for inserts.
do $$
begin
    if to_regclass('realtime.messages') is not null then
        execute $policy$
            create policy "reelbase: who sees a job or is the user hears its topic" on realtime.messages
                for select to anon, authenticated using (
                    realtime.messages.extension = 'broadcast'
                    and private.may_listen((select realtime.topic()))
                )
        $policy$;
    end if;
end;
$$;
