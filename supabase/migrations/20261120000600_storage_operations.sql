-- Storage operations: what was done with stored objects, for which job, how long it took and whether it worked.

create table public.storage_operations (
    id uuid primary key default gen_random_uuid(),
    job_id uuid references public.jobs (id) on delete cascade,
    operation public.storage_operation not null,
    bucket text not null,
    key text not null,
    region text,
    success boolean not null default true,
    file_size bigint,
    duration_ms bigint,
    error_code text,
    error_message text,
    metadata jsonb not null default '{}',
    idempotency_key text,
    created_at timestamptz not null default clock_timestamp(),
    constraint storage_operations_bucket_length check (length(bucket) between 1 and 255),
    constraint storage_operations_key_length check (octet_length(key) between 1 and 1024),
    constraint storage_operations_region_length check (length(region) between 1 and 64),
    constraint storage_operations_file_size_in_range check (file_size between 0 and 5497558138880),
    constraint storage_operations_duration_in_range check (duration_ms between 0 and 604800000),
    constraint storage_operations_error_code_length check (length(error_code) between 1 and 100),
    constraint storage_operations_error_message_length check (length(error_message) between 1 and 10000),
    constraint storage_operations_error_code_only_of_failure check (error_code is null or success is false),
    constraint storage_operations_error_message_only_of_failure check (error_message is null or success is false),
    constraint storage_operations_metadata_is_object check (private.is_plain_object(metadata, 65536)),
    constraint storage_operations_idempotency_key_length check (length(idempotency_key) between 1 and 200)
);
alter table public.storage_operations enable row level security;

comment on table public.storage_operations is 'What was done with stored objects, and how it went.';
comment on column public.storage_operations.job_id is 'The job it was done for; null for housekeeping, which only backends see.';
comment on column public.storage_operations.key is 'The object''s name within its bucket.';
comment on column public.storage_operations.file_size is 'Size of the object in bytes.';
comment on column public.storage_operations.duration_ms is 'How long it took, in milliseconds.';
comment on column public.storage_operations.idempotency_key is 'Chosen by the caller: an operation logged again under it is the one already there.';
comment on column public.storage_operations.created_at is 'When it was logged; those logged together are a microsecond apart, in their order.';
comment on constraint storage_operations_bucket_length on public.storage_operations is 'must have 1 to 255 characters';
comment on constraint storage_operations_key_length on public.storage_operations is 'must have 1 to 1024 bytes';
comment on constraint storage_operations_region_length on public.storage_operations is 'must have 1 to 64 characters';
comment on constraint storage_operations_file_size_in_range on public.storage_operations is 'must be bytes, 0 to 5 TiB';
comment on constraint storage_operations_duration_in_range on public.storage_operations is 'must be 0 to 604800000 milliseconds';
comment on constraint storage_operations_error_code_length on public.storage_operations is 'must have 1 to 100 characters';
comment on constraint storage_operations_error_message_length on public.storage_operations is 'must have 1 to 10000 characters';
comment on constraint storage_operations_error_code_only_of_failure on public.storage_operations is 'belongs to an operation that failed';
comment on constraint storage_operations_error_message_only_of_failure on public.storage_operations is 'belongs to an operation that failed';
comment on constraint storage_operations_metadata_is_object on public.storage_operations is 'must be a plain JSON object of at most 64 KiB';
comment on constraint storage_operations_idempotency_key_length on public.storage_operations is 'must have 1 to 200 characters';

create index storage_operations_newest on public.storage_operations (created_at desc, id desc);
create index storage_operations_by_job on public.storage_operations (job_id, created_at desc, id desc);
create index storage_operations_by_bucket on public.storage_operations (bucket, created_at desc, id desc);
create index storage_operations_by_operation on public.storage_operations (operation, created_at desc, id desc);
create index storage_operations_failed on public.storage_operations (created_at desc, id desc) where not success;
create unique index storage_operations_idempotency on public.storage_operations (idempotency_key)
    where idempotency_key is not null;

grant select on public.storage_operations to anon, authenticated, service_role;
-- No `exists`: beside an `or`, Postgres may answer that one by reading all jobs that the caller sees.
create policy "Who sees a job sees its storage operations; backends see all" on public.storage_operations
    for select to anon, authenticated using (
        (select private.is_service())
        or job_id = (select jobs.id from public.jobs where jobs.id = storage_operations.job_id)
    );

-- What is stored ------------------------------------------------------------------------------

-- The log is not the place to ask: its rows go with their jobs and by retention, and the objects stay.
create table private.stored_objects (
    bucket text not null,
    key text not null,
    is_stored boolean not null,
    file_size bigint,
    changed_at timestamptz not null,
    operation_id uuid not null,
    primary key (bucket, key)
);
alter table private.stored_objects enable row level security;
comment on table private.stored_objects is
    'The last thing done to each object, of uploads and deletes that succeeded. It outlives the log and the jobs.';
comment on column private.stored_objects.is_stored is
    'False of an object that was deleted: it stays for a day, for an upload before it may be logged or committed after it.';
comment on column private.stored_objects.changed_at is 'When the operation was logged that it was changed by.';
create index stored_objects_held on private.stored_objects (bucket, changed_at) include (file_size) where is_stored;
create index stored_objects_deleted on private.stored_objects (changed_at) where not is_stored;
grant select on private.stored_objects to authenticated, service_role;
create policy "Backends see what is stored" on private.stored_objects
    for select to authenticated using ((select private.is_service()));

-- Keep what is stored. Objects are written in the order of their keys, so of two statements about the same ones, one waits
-- for the other, and never both. Definer: who may log need not be allowed to write what is stored.
create function private.storage_operations_keep_stored()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    deleted bigint;
begin
    insert into private.stored_objects as kept (bucket, key, is_stored, file_size, changed_at, operation_id)
    select distinct on (done.bucket, done.key)
        done.bucket, done.key, done.operation = 'upload',
        case when done.operation = 'upload' then done.file_size end, done.created_at, done.id
    from added as done
    where done.success and done.operation in ('upload', 'delete')
    order by done.bucket, done.key, done.created_at desc, done.id desc
    on conflict on constraint stored_objects_pkey do update set
        is_stored = excluded.is_stored,
        file_size = excluded.file_size,
        changed_at = excluded.changed_at,
        operation_id = excluded.operation_id
    where (excluded.changed_at, excluded.operation_id) > (kept.changed_at, kept.operation_id);
    select count(*) into deleted from added as done where done.success and done.operation = 'delete';
    if deleted > 0 then
        -- Twice as many as come, so that they do not pile up; those that somebody else removes are left to them.
        delete from private.stored_objects as objects where (objects.bucket, objects.key) in (
            select past.bucket, past.key from private.stored_objects as past
            where not past.is_stored and past.changed_at < now() - interval '1 day'
            order by past.changed_at
            limit 2 * deleted
            for update skip locked
        );
    end if;
    return null;
end;
$$;
comment on function private.storage_operations_keep_stored is 'Trigger: keeps what is stored.';

create trigger a_keep_stored after insert on public.storage_operations
    referencing new table as added
    for each statement execute function private.storage_operations_keep_stored();

-- Logging -----------------------------------------------------------------------------------

-- Insert operations, given as a JSON array, in one statement; returns a row for each, in the array's order. One whose
-- idempotency key is there already gives the row that is there. A refusal names every problem of every operation;
-- `prefix` goes before the argument's name, with %s for the operation's place in the array. Jobs may have ended:
-- their videos are uploaded, served and cleaned up afterwards.
create function private.insert_storage_operations(operations jsonb, prefix text)
returns setof public.storage_operations
language plpgsql
security definer
set search_path = ''
as $$
declare
    properties text[] := array[
        'job_id', 'operation', 'bucket', 'key', 'region', 'success', 'file_size', 'duration_ms',
        'error_code', 'error_message', 'metadata', 'idempotency_key'
    ];
    moment timestamptz := clock_timestamp();
    given public.storage_operations[];
begin
    perform private.require_service();
    -- A misspelt property would be ignored in silence.
    if exists (select from jsonb_array_elements(operations) as item where item - properties <> '{}') then
        raise data_exception;
    end if;
    given := array(
        select jsonb_populate_record(null::public.storage_operations, item.value || jsonb_build_object(
            'id', gen_random_uuid(), 'created_at', moment + item.place * interval '1 microsecond'
        ))
        from jsonb_array_elements(operations) with ordinality as item (value, place)
        order by item.place
    );
    perform private.locked_job(owner.job_id)
    from (select distinct job_id from unnest(given) where job_id is not null order by job_id) as owner;
    insert into public.storage_operations (
        id, job_id, operation, bucket, key, region, success, file_size, duration_ms,
        error_code, error_message, metadata, idempotency_key, created_at
    )
    select
        item.id, item.job_id, item.operation, item.bucket, item.key, item.region, coalesce(item.success, true),
        item.file_size, item.duration_ms, item.error_code, item.error_message, coalesce(item.metadata, '{}'),
        item.idempotency_key, item.created_at
    from unnest(given) as item
    -- In the order of the keys: of two calls with the same ones, one waits for the other, and never both.
    order by item.idempotency_key, item.created_at
    on conflict (idempotency_key) where idempotency_key is not null do nothing;
    return query
        select logged.*
        from unnest(given) as item
            cross join lateral (
                select * from public.storage_operations as new where new.id = item.id
                union all
                select * from public.storage_operations as earlier
                where earlier.idempotency_key = item.idempotency_key and earlier.id <> item.id
            ) as logged
        order by item.created_at;
exception
    when check_violation or not_null_violation or data_exception then
        perform private.refuse_arguments(
            private.rows_problems('public.storage_operations', operations, properties, prefix), sqlerrm
        );
end;
$$;
comment on function private.insert_storage_operations is 'Insert a JSON array of storage operations in one statement.';
grant execute on function private.insert_storage_operations to authenticated, service_role;

-- Log one operation; with an idempotency key that is there already, returns the operation logged under it.
create function public.log_storage_operation(
    operation public.storage_operation,
    bucket text,
    key text,
    job_id uuid default null,
    region text default null,
    success boolean default true,
    file_size bigint default null,
    duration_ms bigint default null,
    error_code text default null,
    error_message text default null,
    metadata jsonb default '{}',
    idempotency_key text default null
)
returns public.storage_operations
language plpgsql
set search_path = ''
as $$
declare
    logged public.storage_operations;
begin
    select * into logged from private.insert_storage_operations(jsonb_build_array(jsonb_build_object(
        'job_id', job_id, 'operation', operation, 'bucket', bucket, 'key', key, 'region', region,
        'success', success, 'file_size', file_size, 'duration_ms', duration_ms, 'error_code', error_code,
        'error_message', error_message, 'metadata', metadata, 'idempotency_key', idempotency_key
    )), '');
    return logged;
end;
$$;
comment on function public.log_storage_operation is 'Log what was done with a stored object; returns the row. Backends only.';
grant execute on function public.log_storage_operation to authenticated, service_role;

-- Log up to 1000 operations at once, all or none. `operations` is a JSON array of objects with the arguments of
-- log_storage_operation; the rows come back in its order.
create function public.log_storage_operations(operations jsonb)
returns setof public.storage_operations
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    perform private.require_list('operations', operations, 1000);
    return query select * from private.insert_storage_operations(operations, 'operations[%s].');
end;
$$;
comment on function public.log_storage_operations is 'Log many storage operations at once; returns the rows in order. Backends only.';
grant execute on function public.log_storage_operations to authenticated, service_role;

-- Reading -----------------------------------------------------------------------------------

-- Every query below has filters that may be missing. They run by `execute … using`, which plans with the values at
-- hand: filters that are not given cost nothing, and the one that is finds its index. A plan kept for all combinations
-- would read the whole log.

-- The time range of a report or list, half open: missing ends are unbounded, but for a missing beginning, which is
-- `span` before the end, where a span is given.
create function private.log_range(span interval, inout from_time timestamptz, inout to_time timestamptz)
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_moment('from_time', from_time);
    perform private.require_moment('to_time', to_time);
    from_time := coalesce(from_time, coalesce(to_time, now()) - span, '-infinity');
    to_time := coalesce(to_time, 'infinity');
    if from_time >= to_time then
        perform private.refuse_argument('from_time', 'must be earlier than to_time');
    end if;
end;
$$;
comment on function private.log_range is 'A half-open time range with its missing ends filled in.';
grant execute on function private.log_range to anon, authenticated, service_role;

create type public.storage_operation_page as (items public.storage_operations[], next_cursor text);
comment on type public.storage_operation_page is 'One page of storage operations; next_cursor is null on the last.';

-- A page of the operations that the caller may see, newest first. `list` names the caller's list in its cursors.
create function private.storage_operations_page(
    list text,
    job_id uuid,
    operation public.storage_operation,
    bucket text,
    success boolean,
    from_time timestamptz,
    to_time timestamptz,
    page_size integer,
    cursor text
)
returns public.storage_operation_page
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
    place record;
    items public.storage_operations[];
    last public.storage_operations;
begin
    perform private.require_range('page_size', page_size, 1, 500);
    span := private.log_range(null, from_time, to_time);
    place := private.cursor_place(list, cursor, 'timestamptz', 'uuid');
    execute $query$
        select array(
            select operations
            from public.storage_operations as operations
            where ($1 is null or operations.job_id = $1)
                and ($2 is null or operations.operation = $2)
                and ($3 is null or operations.bucket = $3)
                and ($4 is null or operations.success = $4)
                and operations.created_at >= $5
                and operations.created_at < $6
                and ($7 is null or (operations.created_at, operations.id) < ($7, $8))
            order by operations.created_at desc, operations.id desc
            limit $9
        )
    $query$
    into items
    -- One more than asked for tells whether there is a next page.
    using job_id, operation, bucket, success, span.from_time, span.to_time,
        place.value::timestamptz, place.id::uuid, page_size + 1;
    if cardinality(items) <= page_size then
        return (items, null::text);
    end if;
    last := items[page_size];
    return (items[1:page_size], private.cursor(list, to_jsonb(last.created_at), last.id::text));
end;
$$;
comment on function private.storage_operations_page is 'A page of storage operations, newest first.';
grant execute on function private.storage_operations_page to anon, authenticated, service_role;

-- The same for backends, who see all. Definer, because below a policy Postgres looks no operation up in an index:
-- comparing an enum might tell of rows that the policy hides.
create function private.all_storage_operations_page(
    list text,
    job_id uuid,
    operation public.storage_operation,
    bucket text,
    success boolean,
    from_time timestamptz,
    to_time timestamptz,
    page_size integer,
    cursor text
)
returns public.storage_operation_page
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    return private.storage_operations_page(
        list, job_id, operation, bucket, success, from_time, to_time, page_size, cursor
    );
end;
$$;
comment on function private.all_storage_operations_page is 'A page of all storage operations, for backends.';
grant execute on function private.all_storage_operations_page to authenticated, service_role;

-- The operations of a job that the caller may see, or, for backends, of all; newest first, a page at a time.
create function public.get_storage_operations(
    job_id uuid default null,
    operation public.storage_operation default null,
    bucket text default null,
    success boolean default null,
    from_time timestamptz default null,
    to_time timestamptz default null,
    page_size integer default 50,
    cursor text default null
)
returns public.storage_operation_page
language plpgsql
stable
set search_path = ''
as $$
begin
    if job_id is not null then
        perform private.visible_job(job_id);
    elsif not private.is_service() then
        -- Else every operation there is would be asked whether its job is the caller's.
        perform private.refuse_argument('job_id', 'is required of everyone but backends');
    end if;
    if private.is_service() then
        return private.all_storage_operations_page(
            'storage_operations', job_id, operation, bucket, success, from_time, to_time, page_size, cursor
        );
    end if;
    return private.storage_operations_page(
        'storage_operations', job_id, operation, bucket, success, from_time, to_time, page_size, cursor
    );
end;
$$;
comment on function public.get_storage_operations is 'A page of a job''s storage operations, newest first; for backends, of all.';
grant execute on function public.get_storage_operations to anon, authenticated, service_role;

-- The operations that failed, newest first, a page at a time.
create function public.get_failed_storage_operations(
    from_time timestamptz default null,
    to_time timestamptz default null,
    operation public.storage_operation default null,
    bucket text default null,
    page_size integer default 50,
    cursor text default null
)
returns public.storage_operation_page
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_service();
    return private.all_storage_operations_page(
        'failed_storage_operations', null, operation, bucket, false, from_time, to_time, page_size, cursor
    );
end;
$$;
comment on function public.get_failed_storage_operations is 'A page of the storage operations that failed, newest first. Backends only.';
grant execute on function public.get_failed_storage_operations to authenticated, service_role;

-- Reports -----------------------------------------------------------------------------------

create type public.storage_operation_statistics as (
    operation public.storage_operation,
    operation_count bigint,
    failure_count bigint,
    success_percentage numeric,
    total_bytes numeric,
    mean_duration_ms numeric,
    p50_duration_ms numeric,
    p95_duration_ms numeric,
    p99_duration_ms numeric
);
comment on type public.storage_operation_statistics is 'Totals of one kind of storage operation; bytes and durations are of those that succeeded.';

-- Totals of each kind of operation that there was in the time range, by default the last 30 days.
create function public.get_storage_statistics(
    from_time timestamptz default null,
    to_time timestamptz default null,
    bucket text default null,
    operation public.storage_operation default null
)
returns setof public.storage_operation_statistics
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
begin
    perform private.require_service();
    span := private.log_range('30 days', from_time, to_time);
    return query execute $query$
        select
            operation,
            total,
            failed,
            round(100.0 * (total - failed) / total, 2),
            bytes,
            round(mean, 3),
            round(durations[1]::numeric, 3),
            round(durations[2]::numeric, 3),
            round(durations[3]::numeric, 3)
        from (
            select
                operations.operation,
                count(*) as total,
                count(*) filter (where not success) as failed,
                coalesce(sum(file_size) filter (where success), 0) as bytes,
                avg(duration_ms) filter (where success) as mean,
                percentile_cont(array[0.5, 0.95, 0.99]) within group (order by duration_ms)
                    filter (where success) as durations
            from public.storage_operations as operations
            where created_at >= $1
                and created_at < $2
                and ($3 is null or bucket = $3)
                and ($4 is null or operation = $4)
            group by operations.operation
        ) as kinds
        order by operation
    $query$
    using span.from_time, span.to_time, bucket, operation;
end;
$$;
comment on function public.get_storage_statistics is 'Count, failures, bytes and duration of each kind of storage operation. Backends only.';
grant execute on function public.get_storage_statistics to authenticated, service_role;

create type public.storage_bucket_usage as (
    bucket text,
    uploaded_objects bigint,
    uploaded_bytes numeric,
    downloaded_objects bigint,
    downloaded_bytes numeric,
    deleted_objects bigint,
    deleted_bytes numeric,
    stored_objects bigint,
    stored_bytes numeric,
    last_operation_at timestamptz
);
comment on type public.storage_bucket_usage is 'What was moved into and out of a bucket by operations that succeeded, and what it holds.';

-- The report itself. Definer: row-level security would ask of each row whether the caller may see it; so it asks for itself
-- who is calling.
create function private.storage_usage_by_bucket(bucket text, from_time timestamptz, to_time timestamptz)
returns setof public.storage_bucket_usage
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    return query execute $query$
        with moved as (
            select
                done.bucket,
                count(*) filter (where done.operation = 'upload') as uploads,
                sum(done.file_size) filter (where done.operation = 'upload') as uploaded,
                count(*) filter (where done.operation = 'download') as downloads,
                sum(done.file_size) filter (where done.operation = 'download') as downloaded,
                count(*) filter (where done.operation = 'delete') as deletes,
                sum(done.file_size) filter (where done.operation = 'delete') as deleted,
                max(done.created_at) as last_at
            from public.storage_operations as done
            where done.success
                and ($1 is null or done.bucket = $1)
                and done.created_at >= $2
                and done.created_at < $3
            group by done.bucket
        ),
        held as (
            select
                objects.bucket,
                count(*) as objects,
                sum(objects.file_size) as bytes,
                max(objects.changed_at) as last_at
            from private.stored_objects as objects
            where objects.is_stored
                and ($1 is null or objects.bucket = $1)
                and objects.changed_at >= $2
                and objects.changed_at < $3
            group by objects.bucket
        )
        select
            bucket,
            coalesce(moved.uploads, 0),
            coalesce(moved.uploaded, 0),
            coalesce(moved.downloads, 0),
            coalesce(moved.downloaded, 0),
            coalesce(moved.deletes, 0),
            coalesce(moved.deleted, 0),
            coalesce(held.objects, 0),
            coalesce(held.bytes, 0) as held_bytes,
            greatest(moved.last_at, held.last_at)
        from moved full join held using (bucket)
        order by held_bytes desc, bucket
    $query$
    using bucket, from_time, to_time;
end;
$$;
comment on function private.storage_usage_by_bucket is 'What each bucket got, gave and still holds.';
grant execute on function private.storage_usage_by_bucket to authenticated, service_role;

-- What each bucket got and gave by the log of the time range, by default of all of it, and what it holds of what was
-- uploaded last in that time, by default ever; the fullest first. An object is held when the last thing done to its key, of
-- uploads and deletes, was an upload: one uploaded twice counts once, with its last size, and a delete takes it away whether
-- or not it knew the size. What is held does not depend on the log, which goes by retention and with its jobs. Deleted
-- bytes are those of deletes that knew it.
create function public.get_storage_usage_by_bucket(
    bucket text default null,
    from_time timestamptz default null,
    to_time timestamptz default null
)
returns setof public.storage_bucket_usage
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
begin
    perform private.require_service();
    span := private.log_range(null, from_time, to_time);
    return query select * from private.storage_usage_by_bucket(bucket, span.from_time, span.to_time);
end;
$$;
comment on function public.get_storage_usage_by_bucket is 'What each bucket got, gave and still holds. Backends only.';
grant execute on function public.get_storage_usage_by_bucket to authenticated, service_role;

create type public.storage_operation_performance as (
    operation public.storage_operation,
    bucket text,
    operation_count bigint,
    p50_duration_ms numeric,
    p95_duration_ms numeric,
    p99_duration_ms numeric,
    p50_bytes_per_second numeric,
    p95_bytes_per_second numeric,
    p99_bytes_per_second numeric
);
comment on type public.storage_operation_performance is 'How fast one kind of storage operation was in one bucket, of those that succeeded and were timed.';

-- How fast operations that succeeded were, by kind and bucket, in the time range, by default the last 30 days. A
-- percentile of throughput is, like one of duration, the value that so many percent do not exceed: p50 is the usual speed,
-- p99 the best.
create function public.get_storage_performance(
    from_time timestamptz default null,
    to_time timestamptz default null,
    operation public.storage_operation default null,
    bucket text default null
)
returns setof public.storage_operation_performance
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
begin
    perform private.require_service();
    span := private.log_range('30 days', from_time, to_time);
    return query execute $query$
        select
            operation,
            bucket,
            total,
            round(durations[1]::numeric, 3),
            round(durations[2]::numeric, 3),
            round(durations[3]::numeric, 3),
            round(speeds[1]::numeric, 3),
            round(speeds[2]::numeric, 3),
            round(speeds[3]::numeric, 3)
        from (
            select
                operations.operation,
                operations.bucket,
                count(*) as total,
                percentile_cont(array[0.5, 0.95, 0.99]) within group (order by duration_ms) as durations,
                percentile_cont(array[0.5, 0.95, 0.99]) within group (
                    order by file_size * 1000::double precision / nullif(duration_ms, 0)
                ) as speeds
            from public.storage_operations as operations
            where success
                and duration_ms is not null
                and created_at >= $1
                and created_at < $2
                and ($3 is null or operation = $3)
                and ($4 is null or bucket = $4)
            group by operations.operation, operations.bucket
        ) as kinds
        order by operation, bucket
    $query$
    using span.from_time, span.to_time, operation, bucket;
end;
$$;
comment on function public.get_storage_performance is 'Percentiles of duration and throughput by kind of operation and bucket. Backends only.';
grant execute on function public.get_storage_performance to authenticated, service_role;
