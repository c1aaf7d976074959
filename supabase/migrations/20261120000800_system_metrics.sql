-- System metrics: measurements of the platform, the limits that they should keep, and the events that crossing
-- a limit causes.

-- System events -----------------------------------------------------------------------------

create table public.system_events (
    id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    type text not null,
    severity text not null,
    data jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    constraint system_events_type_form check (
        length(type) <= 100 and type ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'
    ),
    constraint system_events_severity_known check (severity in ('info', 'warning', 'critical')),
    constraint system_events_data_is_object check (private.is_plain_object(data, 65536))
);
alter table public.system_events enable row level security;

comment on table public.system_events is 'What an operator should know about the platform itself.';
comment on column public.system_events.xid is 'The transaction that wrote the event; with id the order in which listeners read.';
comment on column public.system_events.data is 'What the type adds; for metric.threshold the metric, the labels of the series, its value and both states.';
comment on constraint system_events_type_form on public.system_events
    is 'must be words of a-z, 0-9 and _ with dots between them, at most 100 characters';
comment on constraint system_events_severity_known on public.system_events is 'must be info, warning or critical';
comment on constraint system_events_data_is_object on public.system_events
    is 'must be a plain JSON object of at most 64 KiB';

create index system_events_log on public.system_events (xid, id);
create index system_events_newest on public.system_events (created_at desc, id desc);
create index system_events_by_type on public.system_events (type, created_at desc, id desc);
create index system_events_by_severity on public.system_events (severity, created_at desc, id desc);

grant select on public.system_events to authenticated, service_role;
create policy "Backends see system events" on public.system_events
    for select to authenticated using ((select private.is_service()));

-- Write a system event. Definer: nobody may write the table directly. Trusts its caller to have asked who may.
create function private.record_system_event(type text, severity text, data jsonb default '{}')
returns void
language sql
security definer
set search_path = ''
as $$
    insert into public.system_events (type, severity, data)
    values (record_system_event.type, record_system_event.severity, record_system_event.data);
$$;
comment on function private.record_system_event is 'Write a system event.';
grant execute on function private.record_system_event to authenticated, service_role;

create type public.system_event_page as (items public.system_events[], next_cursor text);
comment on type public.system_event_page is 'One page of system events; next_cursor is null on the last.';

-- System events from from_time until before to_time, newest first, a page at a time.
create function public.get_system_events(
    type text default null,
    severity text default null,
    from_time timestamptz default null,
    to_time timestamptz default null,
    page_size integer default 50,
    cursor text default null
)
returns public.system_event_page
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
    place record;
    rows public.system_events[];
    last public.system_events;
begin
    perform private.require_service();
    perform private.require_range('page_size', page_size, 1, 500);
    if severity not in ('info', 'warning', 'critical') then
        perform private.refuse_argument('severity', 'must be info, warning or critical');
    end if;
    span := private.log_range(null, from_time, to_time);
    place := private.cursor_place('system_events', get_system_events.cursor, 'timestamptz', 'bigint');
    rows := array(
        select events
        from public.system_events as events
        where (get_system_events.type is null or events.type = get_system_events.type)
            and (get_system_events.severity is null or events.severity = get_system_events.severity)
            and events.created_at >= span.from_time
            and events.created_at < span.to_time
            and (
                get_system_events.cursor is null
                or (events.created_at, events.id) < (place.value::timestamptz, place.id::bigint)
            )
        order by events.created_at desc, events.id desc
        -- One more than asked for tells whether there is a next page.
        limit get_system_events.page_size + 1
    );
    if cardinality(rows) <= page_size then
        return (rows, null::text);
    end if;
    last := rows[page_size];
    return (rows[1:page_size], private.cursor('system_events', to_jsonb(last.created_at), last.id::text));
end;
$$;
comment on function public.get_system_events is 'A page of system events, newest first. Backends only.';
grant execute on function public.get_system_events to authenticated, service_role;

create type public.system_event_log_page as (items public.system_events[], next_cursor text, more boolean);
comment on type public.system_event_log_page is 'A stretch of the system events; next_cursor is where the next one begins, more whether there is one yet.';

-- The end of the system events as far as they can be read: just behind the last one before the oldest open transaction.
-- private.log_end says why no further.
create function private.system_event_log_end()
returns xid8
language plpgsql
stable
set search_path = ''
as $$
begin
    return coalesce((
        select (events.xid::text::bigint + 1)::text::xid8
        from public.system_events as events
        where events.xid < private.log_horizon()
        order by events.xid desc
        limit 1
    ), '1');
end;
$$;
comment on function private.system_event_log_end is 'What has a smaller xid is there or comes no more.';
grant execute on function private.system_event_log_end to authenticated, service_role;

-- Where the system events end now: a cursor for those who want only what comes later.
create function public.get_system_event_cursor()
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_service();
    return private.cursor('system_event_log', to_jsonb(private.system_event_log_end()), '0');
end;
$$;
comment on function public.get_system_event_cursor is 'Where the system events end now, as a cursor. Backends only.';
grant execute on function public.get_system_event_cursor to authenticated, service_role;

-- The system events after a cursor, of some severities and types; without a cursor from the beginning. Like read_events for
-- jobs: in the order of transactions, a read ends before the oldest one that is still open, so that nothing is skipped that
-- commits late, and next_cursor is where to go on, also from an empty page.
create function public.read_system_events(
    after text default null,
    severity text[] default null,
    types text[] default null,
    max_events integer default 500
)
returns public.system_event_log_page
language plpgsql
stable
set search_path = ''
as $$
declare
    place record;
    horizon xid8;
    seen_xid xid8;
    seen_id bigint;
    rows public.system_events[];
    last public.system_events;
begin
    perform private.require_service();
    perform private.require_range('max_events', max_events, 1, 1000);
    if not severity <@ array['info', 'warning', 'critical'] then
        perform private.refuse_argument('severity', 'must be of info, warning, critical');
    end if;
    horizon := private.system_event_log_end();
    place := private.log_place(after, 'system_event_log');
    -- Before everything where there is no cursor, so that the condition is one that the index answers.
    seen_xid := coalesce(place.xid, '0');
    seen_id := coalesce(place.id, 0);
    rows := array(
        select events
        from public.system_events as events
        where events.xid < horizon
            and (events.xid, events.id) > (seen_xid, seen_id)
            and (read_system_events.severity is null or events.severity = any (read_system_events.severity))
            and (types is null or events.type = any (types))
        order by events.xid, events.id
        limit max_events
    );
    if cardinality(rows) = max_events then
        last := rows[max_events];
        return (rows, private.cursor('system_event_log', to_jsonb(last.xid), last.id::text), true);
    end if;
    -- A cursor may lie ahead of what is left when old events were removed; it stays where it is.
    if seen_xid >= horizon then
        return (rows, after, false);
    end if;
    return (rows, private.cursor('system_event_log', to_jsonb(horizon), '0'), false);
end;
$$;
comment on function public.read_system_events is 'A stretch of the system events, after a cursor. Backends only.';
grant execute on function public.read_system_events to authenticated, service_role;

-- Listeners get system events live.
alter publication supabase_realtime add table public.system_events;

-- Metrics -----------------------------------------------------------------------------------

-- Whether a number is one that every client can read: within a double's range, and not of thousands of digits.
create function private.is_plain_number(value numeric)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select value between -1e300 and 1e300 and scale(value) <= 300;
$$;
comment on function private.is_plain_number is 'Whether a number is one that every client can read.';
grant execute on function private.is_plain_number to anon, authenticated, service_role;

create table public.system_metrics (
    id bigint generated always as identity primary key,
    metric text not null,
    value numeric not null,
    unit text,
    labels jsonb not null default '{}',
    recorded_at timestamptz not null default now(),
    idempotency_key text,
    constraint system_metrics_metric_form check (
        length(metric) <= 200 and metric ~ '^[A-Za-z_][A-Za-z0-9_.:/-]*$'
    ),
    constraint system_metrics_value_plain check (private.is_plain_number(value)),
    constraint system_metrics_unit_length check (length(unit) between 1 and 50),
    -- Small enough for the index on them.
    constraint system_metrics_labels_is_object check (private.is_plain_object(labels, 1024)),
    -- What was true stays true, so this may ask for the time. A value of the far future would be the newest for ever.
    constraint system_metrics_recorded_at_in_range check (
        recorded_at >= '2000-01-01 00:00:00+00' and recorded_at <= clock_timestamp() + interval '1 hour'
    ),
    constraint system_metrics_idempotency_key_length check (length(idempotency_key) between 1 and 200)
);
alter table public.system_metrics enable row level security;

comment on table public.system_metrics is 'Measurements of the platform; each metric with each set of labels is a series.';
comment on column public.system_metrics.recorded_at is 'When the value was measured, which need not be when it was written.';
comment on constraint system_metrics_metric_form on public.system_metrics
    is 'must begin with a letter and have at most 200 of A-Z, a-z, 0-9, _, ., :, / and -';
comment on constraint system_metrics_value_plain on public.system_metrics
    is 'must be a number within -1e300 and 1e300, of at most 300 decimals';
comment on constraint system_metrics_unit_length on public.system_metrics is 'must have 1 to 50 characters';
comment on constraint system_metrics_labels_is_object on public.system_metrics
    is 'must be a plain JSON object of at most 1 KiB';
comment on constraint system_metrics_recorded_at_in_range on public.system_metrics
    is 'must be after the year 1999 and at most an hour ahead';
comment on constraint system_metrics_idempotency_key_length on public.system_metrics is 'must have 1 to 200 characters';

create index system_metrics_by_metric on public.system_metrics (metric, recorded_at, id);
create index system_metrics_by_series on public.system_metrics (metric, labels, recorded_at, id);
create index system_metrics_oldest on public.system_metrics (recorded_at);
create unique index system_metrics_idempotency on public.system_metrics (idempotency_key)
    where idempotency_key is not null;

grant select on public.system_metrics to authenticated, service_role;
create policy "Backends see metrics" on public.system_metrics
    for select to authenticated using ((select private.is_service()));


-- Insert values, given as a JSON array, in one statement; returns a row for each, in the array's order. One whose
-- idempotency key is there already gives the row that is there. Definer: no role writes the table.
create function private.insert_metrics(metrics jsonb, prefix text)
returns setof public.system_metrics
language plpgsql
security definer
set search_path = ''
as $$
declare
    properties text[] := array['metric', 'value', 'unit', 'labels', 'recorded_at', 'idempotency_key'];
    keyless bigint[];
begin
    perform private.require_service();
    -- A misspelt property would be ignored in silence.
    if exists (select from jsonb_array_elements(metrics) as item where item - properties <> '{}') then
        raise data_exception;
    end if;
    with inserted as (
        insert into public.system_metrics (metric, value, unit, labels, recorded_at, idempotency_key)
        select
            given.metric, given.value, given.unit, coalesce(given.labels, '{}'),
            -- Those without a time follow each other as they were given, whatever the order of their keys.
            coalesce(given.recorded_at, now() + (item.place - 1) * interval '1 microsecond'), given.idempotency_key
        from jsonb_array_elements(insert_metrics.metrics) with ordinality as item (value, place),
            jsonb_populate_record(null::public.system_metrics, item.value) as given
        -- In the order of the keys: of two calls with the same ones, one waits for the other, and never both.
        order by given.idempotency_key, item.place
        on conflict do nothing
        returning id, idempotency_key
    )
    select array_agg(inserted.id order by inserted.id) filter (where inserted.idempotency_key is null) into keyless
    from inserted;
    -- Those without a key were inserted in the order given, so the n-th of them has the n-th id.
    return query
        select recorded.*
        from (
            select
                item.place,
                item.value ->> 'idempotency_key' as key,
                count(*) filter (where item.value ->> 'idempotency_key' is null) over (order by item.place) as number
            from jsonb_array_elements(insert_metrics.metrics) with ordinality as item (value, place)
        ) as given
        join public.system_metrics as recorded on recorded.idempotency_key = given.key
            or (given.key is null and recorded.id = keyless[given.number])
        order by given.place;
exception
    when check_violation or not_null_violation or data_exception then
        perform private.refuse_arguments(
            private.rows_problems('public.system_metrics', metrics, properties, prefix), sqlerrm
        );
end;
$$;
comment on function private.insert_metrics is 'Insert a JSON array of values in one statement. Backends only.';
grant execute on function private.insert_metrics to authenticated, service_role;

-- Record one value. A key that was given before records nothing and returns the first value.
create function public.record_metric(
    metric text,
    value numeric,
    unit text default null,
    labels jsonb default '{}',
    recorded_at timestamptz default now(),
    idempotency_key text default null
)
returns public.system_metrics
language plpgsql
set search_path = ''
as $$
declare
    recorded public.system_metrics;
begin
    perform private.require_service();
    select * into recorded from private.insert_metrics(jsonb_build_array(jsonb_build_object(
        'metric', metric, 'value', value, 'unit', unit, 'labels', labels, 'recorded_at', recorded_at,
        'idempotency_key', idempotency_key
    )), '');
    return recorded;
end;
$$;
comment on function public.record_metric is 'Record one value of a metric; returns it. Backends only.';
grant execute on function public.record_metric to authenticated, service_role;

-- Record up to 1000 values in one statement, all or none. `metrics` is a JSON array of objects with the arguments of
-- record_metric; the rows come back in its order.
create function public.record_metrics(metrics jsonb)
returns setof public.system_metrics
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    perform private.require_list('metrics', metrics, 1000);
    return query select * from private.insert_metrics(metrics, 'metrics[%s].');
end;
$$;
comment on function public.record_metrics is 'Record many values in one statement; returns them. Backends only.';
grant execute on function public.record_metrics to authenticated, service_role;

create type public.metric_bucket as (
    start timestamptz,
    count bigint,
    avg numeric,
    min numeric,
    max numeric,
    sum numeric,
    last numeric,
    p95 numeric
);
comment on type public.metric_bucket is 'What a metric was in one stretch of time that begins at start.';

-- A metric from from_time until before to_time (the last hour unless they say otherwise), in buckets of time: of all its
-- series that have the labels together. Buckets begin at whole multiples of their length, counted from the year 2000 in UTC,
-- so the same bucket is the same in every call. Those without values are left out.
create function public.get_metric_series(
    metric text,
    from_time timestamptz default null,
    to_time timestamptz default null,
    bucket interval default '1 minute',
    labels jsonb default '{}'
)
returns setof public.metric_bucket
language plpgsql
stable
set search_path = ''
as $$
declare
    origin constant timestamptz := timestamptz '2000-01-01 00:00:00+00';
    until timestamptz := coalesce(get_metric_series.to_time, now());
    since timestamptz := coalesce(get_metric_series.from_time, until - interval '1 hour');
begin
    perform private.require_service();
    if metric is null then
        perform private.refuse_argument('metric', 'is required');
    end if;
    if jsonb_typeof(coalesce(labels, '{}')) <> 'object' then
        perform private.refuse_argument('labels', 'must be a JSON object');
    end if;
    perform private.require_moment('from_time', get_metric_series.from_time);
    perform private.require_moment('to_time', get_metric_series.to_time);
    if get_metric_series.from_time >= get_metric_series.to_time then
        perform private.refuse_argument('from_time', 'must be earlier than to_time');
    end if;
    -- Months differ in length.
    if bucket is null or bucket not between interval '1 second' and interval '366 days'
        or extract(year from bucket) <> 0 or extract(month from bucket) <> 0
    then
        perform private.refuse_argument('bucket', 'must be 1 second to 366 days, not in months or years');
    end if;
    if extract(
        epoch from date_bin(bucket, until - interval '1 microsecond', origin) - date_bin(bucket, since, origin)
    ) / extract(epoch from bucket) >= 1000 then
        perform private.refuse_argument('bucket', 'must be long enough for at most 1000 buckets between from_time and to_time');
    end if;
    return query
        select
            date_bin(get_metric_series.bucket, metrics.recorded_at, origin) as bucket_start,
            count(*),
            avg(metrics.value),
            min(metrics.value),
            max(metrics.value),
            sum(metrics.value),
            (array_agg(metrics.value order by metrics.recorded_at desc, metrics.id desc))[1],
            percentile_cont(0.95) within group (order by metrics.value)::numeric
        from public.system_metrics as metrics
        where metrics.metric = get_metric_series.metric
            and metrics.recorded_at >= since and metrics.recorded_at < until
            and metrics.labels @> coalesce(get_metric_series.labels, '{}')
        group by bucket_start
        order by bucket_start;
end;
$$;
comment on function public.get_metric_series is 'A metric over time, in buckets. Backends only.';
grant execute on function public.get_metric_series to authenticated, service_role;

-- The newest value of each series: of the named metrics, or of all, whose labels contain those given. It jumps in the index
-- from one series to the next, so it costs what the series are, not what they have recorded.
create function public.get_latest_metrics(metrics text[] default null, labels jsonb default '{}')
returns setof public.system_metrics
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_service();
    if jsonb_typeof(coalesce(labels, '{}')) <> 'object' then
        perform private.refuse_argument('labels', 'must be a JSON object');
    end if;
    return query
        with recursive series (metric, labels) as (
            (
                select present.metric, present.labels from public.system_metrics as present
                order by present.metric, present.labels limit 1
            )
            union all
            select next.metric, next.labels
            from series
            cross join lateral (
                select present.metric, present.labels from public.system_metrics as present
                where (present.metric, present.labels) > (series.metric, series.labels)
                order by present.metric, present.labels limit 1
            ) as next
        )
        select newest.*
        from series
        cross join lateral (
            select * from public.system_metrics as present
            where present.metric = series.metric and present.labels = series.labels
            order by present.recorded_at desc, present.id desc limit 1
        ) as newest
        where (get_latest_metrics.metrics is null or series.metric = any (get_latest_metrics.metrics))
            and series.labels @> coalesce(get_latest_metrics.labels, '{}')
        order by series.metric, series.labels;
end;
$$;
comment on function public.get_latest_metrics is 'The newest value of each series. Backends only.';
grant execute on function public.get_latest_metrics to authenticated, service_role;

-- Thresholds --------------------------------------------------------------------------------

create table public.metric_thresholds (
    metric text primary key,
    warning numeric,
    critical numeric,
    direction text not null default 'above',
    state text not null default 'ok',
    since timestamptz not null default clock_timestamp(),
    last_value numeric,
    last_recorded_at timestamptz,
    updated_at timestamptz not null default clock_timestamp(),
    constraint metric_thresholds_metric_form check (
        length(metric) <= 200 and metric ~ '^[A-Za-z_][A-Za-z0-9_.:/-]*$'
    ),
    constraint metric_thresholds_warning_plain check (private.is_plain_number(warning)),
    constraint metric_thresholds_critical_plain check (private.is_plain_number(critical)),
    constraint metric_thresholds_critical_or_warning check (critical is not null or warning is not null),
    constraint metric_thresholds_critical_beyond_warning check (
        not (critical < warning and direction = 'above') and not (critical > warning and direction = 'below')
    ),
    constraint metric_thresholds_direction_known check (direction in ('above', 'below')),
    constraint metric_thresholds_state_known check (state in ('ok', 'warning', 'critical')),
    constraint metric_thresholds_last_is_whole check ((last_value is null) = (last_recorded_at is null))
);
alter table public.metric_thresholds enable row level security;

comment on table public.metric_thresholds is 'The limits that a metric should keep, and whether all its series do.';
comment on column public.metric_thresholds.warning is 'From this value on, in the direction, the state is warning.';
comment on column public.metric_thresholds.critical is 'From this value on, in the direction, the state is critical.';
comment on column public.metric_thresholds.state is 'The worst state of the metric''s series.';
comment on column public.metric_thresholds.since is 'When the state became what it is.';
comment on column public.metric_thresholds.last_value is 'The newest value of any series that was judged, recorded at last_recorded_at.';
comment on constraint metric_thresholds_metric_form on public.metric_thresholds
    is 'must begin with a letter and have at most 200 of A-Z, a-z, 0-9, _, ., :, / and -';
comment on constraint metric_thresholds_warning_plain on public.metric_thresholds
    is 'must be a number within -1e300 and 1e300, of at most 300 decimals';
comment on constraint metric_thresholds_critical_plain on public.metric_thresholds
    is 'must be a number within -1e300 and 1e300, of at most 300 decimals';
comment on constraint metric_thresholds_critical_or_warning on public.metric_thresholds
    is 'is required where there is no warning';
comment on constraint metric_thresholds_critical_beyond_warning on public.metric_thresholds
    is 'must not be reached before the warning is';
comment on constraint metric_thresholds_direction_known on public.metric_thresholds is 'must be above or below';
comment on constraint metric_thresholds_state_known on public.metric_thresholds is 'must be ok, warning or critical';
comment on constraint metric_thresholds_last_is_whole on public.metric_thresholds is 'belongs to last_recorded_at';

grant select on public.metric_thresholds to authenticated, service_role;
create policy "Backends see thresholds" on public.metric_thresholds
    for select to authenticated using ((select private.is_service()));

-- One state for all series would hide the one that is critical behind the one that was recorded last. A series is here
-- from its first judged value until it has no values any more.
create table private.metric_states (
    metric text not null references public.metric_thresholds (metric) on delete cascade,
    labels jsonb not null,
    state text not null,
    last_recorded_at timestamptz not null,
    primary key (metric, labels),
    constraint metric_states_state_known check (state in ('ok', 'warning', 'critical'))
);
alter table private.metric_states enable row level security;
comment on table private.metric_states is 'The state of each series whose metric has a threshold.';
comment on column private.metric_states.last_recorded_at is 'The time of the newest value that was judged.';
create index metric_states_worst on private.metric_states (metric, state);
grant select on private.metric_states to authenticated, service_role;
create policy "Backends see the states of series" on private.metric_states
    for select to authenticated using ((select private.is_service()));

-- What a value means to a threshold.
create function private.metric_state(threshold public.metric_thresholds, value numeric)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when threshold.direction = 'above' and value >= threshold.critical then 'critical'
        when threshold.direction = 'below' and value <= threshold.critical then 'critical'
        when threshold.direction = 'above' and value >= threshold.warning then 'warning'
        when threshold.direction = 'below' and value <= threshold.warning then 'warning'
        else 'ok'
    end;
$$;
comment on function private.metric_state is 'The state that a value means to a threshold. For definers below.';

-- Give a series the state that a value means, and tell of it when that is another one than before: one system event
-- for each change. The caller holds the lock of the threshold. A value that is older than the newest judged one of its
-- series came late; it says nothing about the present.
create function private.judge_metric(
    threshold public.metric_thresholds,
    value numeric,
    labels jsonb,
    recorded_at timestamptz
)
returns void
language plpgsql
set search_path = ''
as $$
declare
    series private.metric_states;
    reached text := private.metric_state(threshold, value);
begin
    select * into series from private.metric_states as states
    where states.metric = threshold.metric and states.labels = judge_metric.labels;
    if recorded_at < series.last_recorded_at then
        return;
    end if;
    insert into private.metric_states as states (metric, labels, state, last_recorded_at)
    values (threshold.metric, judge_metric.labels, reached, judge_metric.recorded_at)
    on conflict on constraint metric_states_pkey do update set
        state = excluded.state,
        last_recorded_at = excluded.last_recorded_at;
    -- A series that is new was not out of its limits before.
    if reached <> coalesce(series.state, 'ok') then
        perform private.record_system_event(
            'metric.threshold',
            case reached when 'ok' then 'info' else reached end,
            jsonb_build_object(
                'metric', threshold.metric, 'value', judge_metric.value, 'labels', judge_metric.labels,
                'recorded_at', judge_metric.recorded_at, 'from', coalesce(series.state, 'ok'), 'to', reached,
                'direction', threshold.direction, 'warning', threshold.warning, 'critical', threshold.critical
            )
        );
    end if;
end;
$$;
comment on function private.judge_metric is 'Give a series the state that a value means. For definers below.';

-- Give a threshold the worst state of its series, and the newest value that was judged, if that is newer than the one it
-- has. The caller holds the threshold's lock.
create function private.sum_up_threshold(metric text, value numeric default null, recorded_at timestamptz default null)
returns void
language plpgsql
set search_path = ''
as $$
declare
    worst text := coalesce(
        (
            select judged.state
            from unnest(array['critical', 'warning']) with ordinality as judged (state, place)
            where exists (
                select from private.metric_states as states
                where states.metric = sum_up_threshold.metric and states.state = judged.state
            )
            order by judged.place limit 1
        ),
        'ok'
    );
begin
    update public.metric_thresholds as thresholds set
        state = worst,
        since = clock_timestamp()
    where thresholds.metric = sum_up_threshold.metric and thresholds.state <> worst;
    update public.metric_thresholds as thresholds set
        last_value = sum_up_threshold.value,
        last_recorded_at = sum_up_threshold.recorded_at
    where thresholds.metric = sum_up_threshold.metric
        and sum_up_threshold.recorded_at >= coalesce(thresholds.last_recorded_at, '-infinity');
end;
$$;
comment on function private.sum_up_threshold is 'Give a threshold the worst state of its series. For definers below.';

-- Judge the values that a statement inserted, those of each series in the order of their times. Thresholds are locked in
-- the order of their names, so sessions that record the same metrics at once take turns and see each other's result, and
-- none deadlocks. Definer: who may record need not be allowed to write states and events.
create function private.system_metrics_judge()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    threshold public.metric_thresholds;
    measured record;
begin
    for threshold in
        select * from public.metric_thresholds as thresholds
        where thresholds.metric in (select inserted.metric from inserted)
        order by thresholds.metric
        for update
    loop
        for measured in
            select inserted.value, inserted.labels, inserted.recorded_at
            from inserted where inserted.metric = threshold.metric
            order by inserted.recorded_at, inserted.id
        loop
            perform private.judge_metric(threshold, measured.value, measured.labels, measured.recorded_at);
        end loop;
        perform private.sum_up_threshold(threshold.metric, measured.value, measured.recorded_at);
    end loop;
    return null;
end;
$$;
comment on function private.system_metrics_judge is 'Trigger: judges new values by the thresholds of their metrics.';

create trigger a_judge after insert on public.system_metrics
    referencing new table as inserted
    for each statement execute function private.system_metrics_judge();

-- The series that have a state and no values.
create view private.gone_series with (security_invoker = true) as
select states.* from private.metric_states as states
where not exists (
    select from public.system_metrics as metrics
    where metrics.metric = states.metric and metrics.labels = states.labels
);
comment on view private.gone_series is 'The series that have a state and no values. For the definer below.';

-- A series whose last value is removed (by retention) is gone: it must not keep its threshold critical for ever. That it
-- was out of its limits is taken back with an event. All series are looked at, not only those that lost values now,
-- because thresholds that somebody holds are left for the next removal: this waits for nobody. Definer: like above.
create function private.system_metrics_forget_series()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    locked text[];
    gone record;
begin
    locked := array(
        select thresholds.metric from public.metric_thresholds as thresholds
        where thresholds.metric in (select series.metric from private.gone_series as series)
        order by thresholds.metric
        for update skip locked
    );
    -- Until the lock was there, a value may have come.
    for gone in
        delete from private.metric_states as states
        using private.gone_series as series
        where states.metric = any (locked) and series.metric = states.metric and series.labels = states.labels
        returning states.*
    loop
        if gone.state <> 'ok' then
            perform private.record_system_event('metric.threshold', 'info', jsonb_build_object(
                'metric', gone.metric, 'labels', gone.labels, 'recorded_at', gone.last_recorded_at,
                'from', gone.state, 'to', 'ok', 'is_gone', true
            ));
            perform private.sum_up_threshold(gone.metric);
        end if;
    end loop;
    return null;
end;
$$;
comment on function private.system_metrics_forget_series is 'Trigger: a series without values has no state.';

create trigger a_forget_series after delete on public.system_metrics
    for each statement execute function private.system_metrics_forget_series();

-- Set a metric's threshold and judge the newest value of each series by it. Definer: nobody may write states and events
-- directly; so it asks for itself who is calling, like the other one below.
create function private.store_metric_threshold(metric text, warning numeric, critical numeric, direction text)
returns public.metric_thresholds
language plpgsql
security definer
set search_path = ''
as $$
declare
    newest public.system_metrics;
    threshold public.metric_thresholds;
begin
    perform private.require_service();
    insert into public.metric_thresholds as thresholds (metric, warning, critical, direction)
    values (
        store_metric_threshold.metric, store_metric_threshold.warning, store_metric_threshold.critical,
        store_metric_threshold.direction
    )
    on conflict on constraint metric_thresholds_pkey do update set
        warning = excluded.warning,
        critical = excluded.critical,
        direction = excluded.direction,
        updated_at = clock_timestamp()
    returning * into threshold;
    for newest in
        select * from public.get_latest_metrics(array[store_metric_threshold.metric]) as latest
        order by latest.recorded_at, latest.id
    loop
        perform private.judge_metric(threshold, newest.value, newest.labels, newest.recorded_at);
    end loop;
    perform private.sum_up_threshold(store_metric_threshold.metric, newest.value, newest.recorded_at);
    select * into threshold from public.metric_thresholds as thresholds
    where thresholds.metric = store_metric_threshold.metric;
    return threshold;
end;
$$;
comment on function private.store_metric_threshold is 'Set a metric''s threshold and judge the newest values by it.';
grant execute on function private.store_metric_threshold to authenticated, service_role;

-- Set the limits of a metric: from `warning` on, and from `critical` on, counted upwards or downwards (direction above,
-- below). One of the two may be null. A metric has one threshold for all its series, of which each is judged by itself: its
-- newest value at once.
create function public.set_metric_threshold(
    metric text,
    warning numeric default null,
    critical numeric default null,
    direction text default 'above'
)
returns public.metric_thresholds
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    return private.store_metric_threshold(
        set_metric_threshold.metric, set_metric_threshold.warning, set_metric_threshold.critical,
        set_metric_threshold.direction
    );
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.metric_thresholds', jsonb_build_object(
            'metric', metric, 'warning', warning, 'critical', critical, 'direction', direction
        )), sqlerrm);
        return null;
end;
$$;
comment on function public.set_metric_threshold is 'Set the limits of a metric; returns them with the state. Backends only.';
grant execute on function public.set_metric_threshold to authenticated, service_role;

-- All thresholds with their states, by metric.
create function public.get_metric_thresholds()
returns setof public.metric_thresholds
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_service();
    return query select * from public.metric_thresholds as thresholds order by thresholds.metric;
end;
$$;
comment on function public.get_metric_thresholds is 'All thresholds with their states. Backends only.';
grant execute on function public.get_metric_thresholds to authenticated, service_role;

-- Definer: nobody may delete from the table directly.
create function private.remove_metric_threshold(metric text)
returns public.metric_thresholds
language sql
security definer
set search_path = ''
as $$
    delete from public.metric_thresholds as thresholds
    where thresholds.metric = remove_metric_threshold.metric and private.is_service()
    returning thresholds.*;
$$;
comment on function private.remove_metric_threshold is 'Remove a metric''s threshold; null when there is none.';
grant execute on function private.remove_metric_threshold to authenticated, service_role;

-- Forget the limits of a metric. Its values and events stay.
create function public.delete_metric_threshold(metric text)
returns public.metric_thresholds
language plpgsql
set search_path = ''
as $$
declare
    threshold public.metric_thresholds;
begin
    perform private.require_service();
    threshold := private.remove_metric_threshold(delete_metric_threshold.metric);
    if threshold.metric is null then
        perform private.fail(
            'not_found',
            format('The metric %s has no threshold.', coalesce(metric, 'without a name')),
            jsonb_build_object('metric', metric),
            'get_metric_thresholds lists those that there are.'
        );
    end if;
    return threshold;
end;
$$;
comment on function public.delete_metric_threshold is 'Remove a metric''s threshold; returns it. Backends only.';
grant execute on function public.delete_metric_threshold to authenticated, service_role;
