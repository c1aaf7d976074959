-- URL access logs: who fetched the videos, from where and how fast. They hold other people's addresses, so only
-- backends read them.

insert into private.settings (name, form, value, description) values
    (
        'mask_client_addresses', 'true or false', 'true',
        'Whether addresses in url_access_logs are cut to their network: IPv4 to /24, IPv6 to /48. Masked is the '
        'default, because an address that is not needed need not be kept: statistics by country and day need none, '
        'and what has been stored whole cannot be taken back.'
    );

-- The network of an address: what of it may be kept. One that is already wider stays as wide as it is.
create function private.masked_address(address inet)
returns inet
language sql
immutable
set search_path = ''
as $$
    -- An IPv4 address written as IPv6 is the same client.
    select network(set_masklen(plain, least(masklen(plain), case family(plain) when 4 then 24 else 48 end)))
    from (
        select case
            when address <<= '::ffff:0:0/96'
                then set_masklen('0.0.0.0'::inet + (address - '::ffff:0:0'::inet), masklen(address) - 96)
            else address
        end
    ) as given (plain);
$$;
comment on function private.masked_address is 'An address without the part that tells one client from its neighbours.';
grant execute on function private.masked_address to authenticated, service_role;

-- What kind of program a User-Agent names. Order matters: browsers name their ancestors too, and bots name browsers.
create function private.agent_family(user_agent text)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when coalesce(user_agent, '') = '' then 'unknown'
        -- Cubot is a maker of telephones.
        when user_agent ~* '(?<!cu)bot|crawl|spider|slurp|facebookexternalhit|preview|monitor|pingdom' then 'bot'
        when user_agent ~ 'Edg(e|A|iOS)?/' then 'Edge'
        when user_agent ~ 'OPR/|OPiOS/|Opera' then 'Opera'
        when user_agent ~ 'SamsungBrowser/' then 'Samsung Internet'
        when user_agent ~ 'Firefox/|FxiOS/' then 'Firefox'
        when user_agent ~ 'Chrome/|CriOS/|Chromium/' then 'Chrome'
        when user_agent ~ 'Safari/' then 'Safari'
        when user_agent ~* '^curl/' then 'curl'
        when user_agent ~* '^wget/' then 'Wget'
        when user_agent ~* 'python|aiohttp|urllib' then 'Python'
        when user_agent ~* '^lavf/|ffmpeg' then 'FFmpeg'
        when user_agent ~* 'vlc/|applecoremedia|exoplayer|stagefright' then 'media player'
        when user_agent ~* 'node|undici|axios' then 'Node'
        when user_agent ~* '^go-http-client/' then 'Go'
        when user_agent ~* 'java|okhttp' then 'Java'
        else 'other'
    end;
$$;
comment on function private.agent_family is 'The kind of program that a User-Agent names.';
grant execute on function private.agent_family to authenticated, service_role;

create table public.url_access_logs (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.jobs (id) on delete cascade,
    url text not null,
    client_ip inet,
    user_agent text,
    agent_family text not null generated always as (private.agent_family(user_agent)) stored,
    referrer text,
    referrer_host text generated always as (
        lower(substring(referrer from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^]/?#]+\]|[^:/?#@]+)'))
    ) stored,
    country text,
    status_code integer not null default 200,
    bytes_sent bigint,
    latency_ms numeric,
    idempotency_key text,
    accessed_at timestamptz not null default now(),
    constraint url_access_logs_url_not_empty check (url <> ''),
    constraint url_access_logs_country_is_code check (country ~ '^[A-Z][A-Z0-9]$'),
    constraint url_access_logs_status_code_in_range check (status_code between 100 and 599),
    constraint url_access_logs_bytes_sent_in_range check (bytes_sent between 0 and 5497558138880),
    constraint url_access_logs_latency_in_range check (latency_ms between 0 and 86400000 and scale(latency_ms) <= 20),
    constraint url_access_logs_idempotency_key_length check (length(idempotency_key) between 1 and 200),
    constraint url_access_logs_accessed_at_in_range check (
        accessed_at >= '2000-01-01T00:00:00Z' and accessed_at < '3000-01-01T00:00:00Z'
    )
);
alter table public.url_access_logs enable row level security;

comment on table public.url_access_logs is 'Who fetched the videos, from where and how fast. Backends only.';
comment on column public.url_access_logs.client_ip is 'The client''s network, or its address if the setting mask_client_addresses is false.';
comment on column public.url_access_logs.country is 'ISO 3166-1 code of two letters, or what the proxy says instead (T1: Tor).';
comment on column public.url_access_logs.bytes_sent is 'Bytes of the answer''s body that were sent.';
comment on column public.url_access_logs.latency_ms is 'From request to the first byte of the answer, in milliseconds.';
comment on column public.url_access_logs.idempotency_key is 'Chosen by the caller: an access logged again under it is the one already there.';
comment on constraint url_access_logs_url_not_empty on public.url_access_logs is 'must not be empty';
comment on constraint url_access_logs_country_is_code on public.url_access_logs is 'must be a country code of two capital letters';
comment on constraint url_access_logs_status_code_in_range on public.url_access_logs is 'must be an HTTP status, 100 to 599';
comment on constraint url_access_logs_bytes_sent_in_range on public.url_access_logs is 'must be bytes, 0 to 5 TiB';
comment on constraint url_access_logs_latency_in_range on public.url_access_logs is 'must be 0 to 86400000 milliseconds';
comment on constraint url_access_logs_idempotency_key_length on public.url_access_logs is 'must have 1 to 200 characters';
comment on constraint url_access_logs_accessed_at_in_range on public.url_access_logs is 'must be a time of the years 2000 to 2999';

create index url_access_logs_newest on public.url_access_logs (accessed_at desc, id desc);
create index url_access_logs_by_job on public.url_access_logs (job_id, accessed_at desc, id desc);
create unique index url_access_logs_idempotency on public.url_access_logs (idempotency_key)
    where idempotency_key is not null;

grant select on public.url_access_logs to authenticated, service_role;
create policy "Backends see who accessed what" on public.url_access_logs
    for select to authenticated using ((select private.is_service()));

-- The one place where an address is masked, on every path that writes. What a client says of itself is cut, not
-- refused: else a long header would keep its sender, and all logged in the same call, out of the log.
create function private.url_access_logs_keep_less()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if private.setting('mask_client_addresses') is distinct from 'false' then
        new.client_ip := private.masked_address(new.client_ip);
    end if;
    new.url := left(new.url, 4096);
    new.user_agent := nullif(left(new.user_agent, 1024), '');
    new.referrer := nullif(left(new.referrer, 2048), '');
    return new;
end;
$$;
comment on function private.url_access_logs_keep_less is 'Trigger: masks the address and cuts what is too long.';

create trigger a_keep_less before insert or update on public.url_access_logs
    for each row execute function private.url_access_logs_keep_less();

-- Logging -----------------------------------------------------------------------------------

-- Insert accesses, given as a JSON array, in one statement; returns a row for each, in the array's order. One whose
-- idempotency key is there already gives the row that is there. A refusal names every problem of every access;
-- `prefix` goes before the argument's name, with %s for the access's place in the array.
create function private.insert_url_accesses(accesses jsonb, prefix text)
returns setof public.url_access_logs
language plpgsql
security definer
set search_path = ''
as $$
declare
    properties text[] := array[
        'job_id', 'url', 'client_ip', 'user_agent', 'referrer', 'country', 'status_code',
        'bytes_sent', 'latency_ms', 'idempotency_key', 'accessed_at'
    ];
    given public.url_access_logs[];
begin
    perform private.require_service();
    -- A misspelt property would be ignored in silence.
    if exists (select from jsonb_array_elements(accesses) as item where item - properties <> '{}') then
        raise data_exception;
    end if;
    given := array(
        select jsonb_populate_record(
            null::public.url_access_logs, item.value || jsonb_build_object('id', gen_random_uuid())
        )
        from jsonb_array_elements(accesses) with ordinality as item (value, place)
        order by item.place
    );
    -- The lock is for the jobs' events. Without them, accesses of one job do not wait for each other.
    perform case
        when private.setting('log_url_accesses_as_events') = 'false' then private.visible_job(owner.job_id)
        else private.locked_job(owner.job_id)
    end
    from (select distinct job_id from unnest(given) where job_id is not null order by job_id) as owner;
    insert into public.url_access_logs (
        id, job_id, url, client_ip, user_agent, referrer, country, status_code,
        bytes_sent, latency_ms, idempotency_key, accessed_at
    )
    select
        item.id, item.job_id, item.url, item.client_ip, item.user_agent, item.referrer, item.country,
        coalesce(item.status_code, 200), item.bytes_sent, item.latency_ms, item.idempotency_key,
        coalesce(item.accessed_at, now())
    from unnest(given) as item
    -- In the order of the keys: of two calls with the same ones, one waits for the other, and never both.
    order by item.idempotency_key
    on conflict (idempotency_key) where idempotency_key is not null do nothing;
    return query
        select logged.*
        from unnest(given) with ordinality as item
            cross join lateral (
                select * from public.url_access_logs as new where new.id = item.id
                union all
                select * from public.url_access_logs as earlier
                where earlier.idempotency_key = item.idempotency_key and earlier.id <> item.id
            ) as logged
        order by item.ordinality;
exception
    when check_violation or not_null_violation or data_exception then
        perform private.refuse_arguments(
            private.rows_problems('public.url_access_logs', accesses, properties, prefix), sqlerrm
        );
    -- A job that was seen and is gone.
    when foreign_key_violation then
        perform private.visible_job(item.job_id) from unnest(given) as item order by item.job_id;
        raise;
end;
$$;
comment on function private.insert_url_accesses is 'Insert a JSON array of accesses in one statement.';
grant execute on function private.insert_url_accesses to authenticated, service_role;

-- Log one access to a job's video; with an idempotency key that is there already, returns the access logged under it.
create function public.log_url_access(
    job_id uuid,
    url text,
    client_ip inet default null,
    user_agent text default null,
    referrer text default null,
    country text default null,
    status_code integer default 200,
    bytes_sent bigint default null,
    latency_ms numeric default null,
    idempotency_key text default null,
    accessed_at timestamptz default now()
)
returns public.url_access_logs
language plpgsql
set search_path = ''
as $$
declare
    logged public.url_access_logs;
begin
    perform private.require_service();
    select * into logged from private.insert_url_accesses(jsonb_build_array(jsonb_build_object(
        'job_id', job_id, 'url', url, 'client_ip', client_ip, 'user_agent', user_agent, 'referrer', referrer,
        'country', country, 'status_code', status_code, 'bytes_sent', bytes_sent, 'latency_ms', latency_ms,
        'idempotency_key', idempotency_key, 'accessed_at', accessed_at
    )), '');
    return logged;
end;
$$;
comment on function public.log_url_access is 'Log an access to a job''s video; returns the row as stored. Backends only.';
grant execute on function public.log_url_access to authenticated, service_role;

-- Log up to 1000 accesses at once, all or none. `accesses` is a JSON array of objects with the arguments of
-- log_url_access; the rows come back in its order.
create function public.log_url_accesses(accesses jsonb)
returns setof public.url_access_logs
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    perform private.require_list('accesses', accesses, 1000);
    return query select * from private.insert_url_accesses(accesses, 'accesses[%s].');
end;
$$;
comment on function public.log_url_accesses is 'Log many accesses at once; returns the rows in order. Backends only.';
grant execute on function public.log_url_accesses to authenticated, service_role;

-- Reading -----------------------------------------------------------------------------------

-- `execute … using` plans each query with the values at hand, as in the log of storage operations.

create type public.url_access_page as (items public.url_access_logs[], next_cursor text);
comment on type public.url_access_page is 'One page of accesses; next_cursor is null on the last.';

-- Accesses, newest first, a page at a time.
create function public.get_url_accesses(
    job_id uuid default null,
    from_time timestamptz default null,
    to_time timestamptz default null,
    page_size integer default 50,
    cursor text default null
)
returns public.url_access_page
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
    place record;
    items public.url_access_logs[];
    last public.url_access_logs;
begin
    perform private.require_service();
    perform private.require_range('page_size', page_size, 1, 500);
    span := private.log_range(null, from_time, to_time);
    place := private.cursor_place('url_accesses', cursor, 'timestamptz', 'uuid');
    execute $query$
        select array(
            select accesses
            from public.url_access_logs as accesses
            where ($1 is null or accesses.job_id = $1)
                and accesses.accessed_at >= $2
                and accesses.accessed_at < $3
                and ($4 is null or (accesses.accessed_at, accesses.id) < ($4, $5))
            order by accesses.accessed_at desc, accesses.id desc
            limit $6
        )
    $query$
    into items
    -- One more than asked for tells whether there is a next page.
    using job_id, span.from_time, span.to_time, place.value::timestamptz, place.id::uuid, page_size + 1;
    if cardinality(items) <= page_size then
        return (items, null::text);
    end if;
    last := items[page_size];
    return (items[1:page_size], private.cursor('url_accesses', to_jsonb(last.accessed_at), last.id::text));
end;
$$;
comment on function public.get_url_accesses is 'A page of accesses, newest first. Backends only.';
grant execute on function public.get_url_accesses to authenticated, service_role;

-- Reports -----------------------------------------------------------------------------------

create type public.url_access_statistics as (
    access_count bigint,
    error_count bigint,
    job_count bigint,
    client_count bigint,
    total_bytes numeric,
    p50_bytes numeric,
    p95_bytes numeric,
    p99_bytes numeric,
    mean_latency_ms numeric,
    p50_latency_ms numeric,
    p95_latency_ms numeric,
    p99_latency_ms numeric
);
comment on type public.url_access_statistics is 'Totals of accesses. Errors are statuses from 400; clients are told apart as far as addresses are stored.';

-- Totals of the accesses in the time range, by default the last 30 days; of one job, where one is given.
create function public.get_url_access_statistics(
    from_time timestamptz default null,
    to_time timestamptz default null,
    job_id uuid default null
)
returns public.url_access_statistics
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
    totals public.url_access_statistics;
begin
    perform private.require_service();
    span := private.log_range('30 days', from_time, to_time);
    execute $query$
        select
            total,
            errors,
            jobs,
            clients,
            bytes,
            round(sizes[1]::numeric, 3),
            round(sizes[2]::numeric, 3),
            round(sizes[3]::numeric, 3),
            round(mean, 3),
            round(latencies[1]::numeric, 3),
            round(latencies[2]::numeric, 3),
            round(latencies[3]::numeric, 3)
        from (
            select
                count(*) as total,
                count(*) filter (where status_code >= 400) as errors,
                count(distinct job_id) as jobs,
                count(distinct client_ip) as clients,
                coalesce(sum(bytes_sent), 0) as bytes,
                percentile_cont(array[0.5, 0.95, 0.99]) within group (order by bytes_sent) as sizes,
                avg(latency_ms) as mean,
                percentile_cont(array[0.5, 0.95, 0.99]) within group (order by latency_ms) as latencies
            from public.url_access_logs
            where accessed_at >= $1 and accessed_at < $2 and ($3 is null or job_id = $3)
        ) as accesses
    $query$
    into totals
    using span.from_time, span.to_time, job_id;
    return totals;
end;
$$;
comment on function public.get_url_access_statistics is 'Count, errors, bytes and latency of accesses. Backends only.';
grant execute on function public.get_url_access_statistics to authenticated, service_role;

-- Accesses in the time range, by default the last 30 days, by day (of UTC; newest first), country, host of the referrer,
-- family of the agent or status (most accessed first). The value is null for accesses that do not have one.
create function public.get_url_accesses_by(
    dimension text,
    from_time timestamptz default null,
    to_time timestamptz default null,
    job_id uuid default null,
    max_rows integer default 100
)
returns table (
    value text,
    access_count bigint,
    error_count bigint,
    total_bytes numeric,
    p50_latency_ms numeric,
    p95_latency_ms numeric
)
language plpgsql
stable
set search_path = ''
as $$
declare
    span record;
begin
    perform private.require_service();
    if dimension is null or dimension not in ('day', 'country', 'referrer', 'agent_family', 'status_code') then
        perform private.refuse_argument(
            'dimension', 'must be one of day, country, referrer, agent_family, status_code'
        );
    end if;
    perform private.require_range('max_rows', max_rows, 1, 1000);
    span := private.log_range('30 days', from_time, to_time);
    return query execute $query$
        select
            place,
            total,
            errors,
            bytes,
            round(latencies[1]::numeric, 3),
            round(latencies[2]::numeric, 3)
        from (
            select
                case $1
                    when 'day' then to_char(accessed_at at time zone 'utc', 'YYYY-MM-DD')
                    when 'country' then country
                    when 'referrer' then referrer_host
                    when 'agent_family' then agent_family
                    else status_code::text
                end as place,
                count(*) as total,
                count(*) filter (where status_code >= 400) as errors,
                coalesce(sum(bytes_sent), 0) as bytes,
                percentile_cont(array[0.5, 0.95]) within group (order by latency_ms) as latencies
            from public.url_access_logs
            where accessed_at >= $2 and accessed_at < $3 and ($4 is null or job_id = $4)
            group by 1
        ) as places
        order by case when $1 = 'day' then place end desc, total desc, place
        limit $5
    $query$
    using dimension, span.from_time, span.to_time, job_id, max_rows;
end;
$$;
comment on function public.get_url_accesses_by is 'Accesses by day, country, referrer, agent_family or status_code. Backends only.';
grant execute on function public.get_url_accesses_by to authenticated, service_role;
