-- Security: what happened that an admin should know, how often a caller may call, and what an admin did.
--
-- user_role, is_admin, client_ip and can_subscribe_to_job stand in `public`, where others expect them in `auth`: hosted
-- Supabase lets nobody create there.

-- Who is calling, for clients ---------------------------------------------------------------

-- The role that the caller has on the platform.
create function public.user_role()
returns text
language sql
stable
set search_path = ''
as $$
    select private.user_role();
$$;
comment on function public.user_role is 'The caller''s role: service_role, admin, service_account, authenticated or anon.';
grant execute on function public.user_role to anon, authenticated, service_role;

-- Whether the caller is an admin or holds the service key.
create function public.is_admin()
returns boolean
language sql
stable
set search_path = ''
as $$
    select private.is_admin();
$$;
comment on function public.is_admin is 'Whether the caller is an admin or holds the service key.';
grant execute on function public.is_admin to anon, authenticated, service_role;

-- The address under which the caller is known.
create function public.client_ip()
returns inet
language sql
stable
set search_path = ''
as $$
    select private.client_ip();
$$;
comment on function public.client_ip is 'The caller''s address as the trusted proxy saw it, or null.';
grant execute on function public.client_ip to anon, authenticated, service_role;

-- Whether the caller may follow a job: true exactly when the policies of jobs show it. A job that is not there, an id
-- that is null and a token whose claims are no UUIDs show nothing either, so none of them is an error.
create function public.can_subscribe_to_job(job_id uuid)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
    return exists (select from public.jobs where jobs.id = can_subscribe_to_job.job_id);
exception
    when invalid_text_representation then
        return false;
end;
$$;
comment on function public.can_subscribe_to_job is 'Whether the caller may follow the job; false for unknown ones.';
grant execute on function public.can_subscribe_to_job to anon, authenticated, service_role;

-- Security events ---------------------------------------------------------------------------

create table public.security_events (
    id bigint generated always as identity primary key,
    event_type text not null,
    severity text not null,
    actor_role text not null,
    actor_id uuid,
    client_ip inet,
    -- No foreign key: what was done to a job is told longer than the job is there.
    job_id uuid,
    details jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    idempotency_key text,
    constraint security_events_event_type_form check (
        length(event_type) <= 100 and event_type ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$'
    ),
    constraint security_events_severity_known check (severity in ('info', 'warning', 'critical')),
    constraint security_events_details_is_object check (private.is_plain_object(details, 65536)),
    constraint security_events_idempotency_key_length check (length(idempotency_key) between 1 and 200)
);
alter table public.security_events enable row level security;

comment on table public.security_events is 'What an admin should know: refusals, suspicions, what admins did.';
comment on column public.security_events.actor_role is 'As private.user_role() says; actor_id and client_ip are the caller''s too.';
comment on constraint security_events_event_type_form on public.security_events
    is 'must be words of a-z, 0-9 and _ with dots between them, at most 100 characters';
comment on constraint security_events_severity_known on public.security_events is 'must be info, warning or critical';
comment on constraint security_events_details_is_object on public.security_events
    is 'must be a plain JSON object of at most 64 KiB';
comment on constraint security_events_idempotency_key_length on public.security_events is 'must have 1 to 200 characters';

create unique index security_events_idempotency on public.security_events (idempotency_key)
    where idempotency_key is not null;
create index security_events_newest on public.security_events (created_at desc, id desc);
create index security_events_by_type on public.security_events (event_type, created_at desc, id desc);
create index security_events_by_severity on public.security_events (severity, created_at desc, id desc);

grant select on public.security_events to authenticated, service_role;
create policy "Admins see security events" on public.security_events
    for select to authenticated using ((select private.is_admin()));

-- Write a security event; who did it and from where is what the request itself proves. Definer: nobody may write the
-- table directly, so nobody can write an event in another's name. Trusts its caller to have asked who may.
create function private.record_security_event(
    event_type text,
    severity text default 'warning',
    details jsonb default '{}',
    job_id uuid default null,
    idempotency_key text default null
)
returns public.security_events
language plpgsql
security definer
set search_path = ''
as $$
declare
    event public.security_events;
begin
    insert into public.security_events (
        event_type, severity, actor_role, actor_id, client_ip, job_id, details, idempotency_key
    )
    values (
        record_security_event.event_type, record_security_event.severity, private.user_role(), private.user_id(),
        private.client_ip(), record_security_event.job_id, coalesce(record_security_event.details, '{}'),
        record_security_event.idempotency_key
    )
    on conflict do nothing
    returning * into event;
    if not found then
        select * into event from public.security_events as events
        where events.idempotency_key = record_security_event.idempotency_key;
    end if;
    return event;
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('public.security_events', jsonb_build_object(
            'event_type', event_type, 'severity', severity, 'details', coalesce(details, '{}'),
            'idempotency_key', idempotency_key
        )), sqlerrm);
        return null;
end;
$$;
comment on function private.record_security_event is 'Write a security event of the caller; returns it.';
grant execute on function private.record_security_event to authenticated, service_role;

-- Keep what an admin did. For the functions that only admins may call, and for what they force.
create function private.audit(action text, job_id uuid default null, details jsonb default '{}')
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform private.record_security_event(
        'audit.' || audit.action, 'info', audit.details, audit.job_id
    );
end;
$$;
comment on function private.audit is 'Keep what an admin did, as the security event audit.<action>.';
grant execute on function private.audit to authenticated, service_role;

-- Report something suspicious that a backend saw, such as `unauthorized_access`. A key that was given before reports
-- nothing and returns the first event.
create function public.log_security_event(
    event_type text,
    details jsonb default '{}',
    severity text default 'warning',
    job_id uuid default null,
    idempotency_key text default null
)
returns public.security_events
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    if log_security_event.event_type like 'audit.%' then
        perform private.refuse_argument('event_type', 'must not begin with audit., which only the database writes');
    end if;
    return private.record_security_event(
        log_security_event.event_type, log_security_event.severity, log_security_event.details,
        log_security_event.job_id, log_security_event.idempotency_key
    );
end;
$$;
comment on function public.log_security_event is 'Report a security event; returns it. Backends only.';
grant execute on function public.log_security_event to authenticated, service_role;

create type public.security_event_page as (items public.security_events[], next_cursor text);
comment on type public.security_event_page is 'One page of security events; next_cursor is null on the last.';

-- Security events from from_time until before to_time, newest first, a page at a time.
create function public.get_security_events(
    event_type text default null,
    severity text default null,
    from_time timestamptz default null,
    to_time timestamptz default null,
    page_size integer default 50,
    cursor text default null
)
returns public.security_event_page
language plpgsql
stable
set search_path = ''
as $$
declare
    place record;
    rows public.security_events[];
    last public.security_events;
begin
    perform private.require_admin();
    perform private.require_range('page_size', page_size, 1, 500);
    if severity not in ('info', 'warning', 'critical') then
        perform private.refuse_argument('severity', 'must be info, warning or critical');
    end if;
    perform private.require_period(from_time, to_time);
    place := private.cursor_place('security_events', get_security_events.cursor, 'timestamptz', 'bigint');
    rows := array(
        select events
        from public.security_events as events
        where (get_security_events.event_type is null or events.event_type = get_security_events.event_type)
            and (get_security_events.severity is null or events.severity = get_security_events.severity)
            and (get_security_events.from_time is null or events.created_at >= get_security_events.from_time)
            and (get_security_events.to_time is null or events.created_at < get_security_events.to_time)
            and (
                get_security_events.cursor is null
                or (events.created_at, events.id) < (place.value::timestamptz, place.id::bigint)
            )
        order by events.created_at desc, events.id desc
        -- One more than asked for tells whether there is a next page.
        limit get_security_events.page_size + 1
    );
    if cardinality(rows) <= page_size then
        return (rows, null::text);
    end if;
    last := rows[page_size];
    return (rows[1:page_size], private.cursor('security_events', to_jsonb(last.created_at), last.id::text));
end;
$$;
comment on function public.get_security_events is 'A page of security events, newest first. Admins only.';
grant execute on function public.get_security_events to authenticated, service_role;

-- Rate limits -------------------------------------------------------------------------------

create type public.rate_limit as (allowed boolean, remaining integer, retry_after numeric);
comment on type public.rate_limit is
    'Whether a call may go on, how many more may in this window, and the seconds until the next one if it may not.';

-- How often each key was used in each window of time. Windows are fixed: they begin at whole multiples of their length,
-- so at the border of two windows twice the limit can pass within one length.
create table private.rate_limits (
    key text not null,
    per interval not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    calls integer not null,
    refused bigint not null,
    allowed boolean not null,
    primary key (key, per, starts_at),
    constraint rate_limits_key_length check (length(key) between 1 and 200),
    constraint rate_limits_per_in_range check (per between interval '1 second' and interval '31 days')
);
alter table private.rate_limits enable row level security;
create policy "No role of the API reaches the rate limits" on private.rate_limits
    for all to anon, authenticated, service_role using (false);

comment on table private.rate_limits is 'How often each key was used in each window; maintenance removes old windows.';
comment on column private.rate_limits.calls is 'Calls that were allowed in the window.';
comment on column private.rate_limits.refused is 'Calls that were refused, as far as their transactions were committed.';
comment on column private.rate_limits.allowed is 'Whether the newest call was allowed.';
comment on constraint rate_limits_key_length on private.rate_limits is 'must have 1 to 200 characters';
comment on constraint rate_limits_per_in_range on private.rate_limits is 'must be 1 second to 31 days';

create index rate_limits_by_end on private.rate_limits (ends_at);

-- Take `calls` from what a key may use in the present window. One statement, which decides on the row that it has
-- locked, so any number of sessions at once are allowed exactly max_calls. What a transaction took, its rollback gives back.
-- Definer: nobody reaches the table.
create function private.take_from_limit(
    key text,
    max_calls integer,
    per interval,
    calls integer default 1,
    moment timestamptz default clock_timestamp()
)
returns public.rate_limit
language plpgsql
security definer
set search_path = ''
as $$
declare
    window_length interval;
    start timestamptz;
    counted private.rate_limits;
begin
    perform private.require_range('max_calls', max_calls, 0, 1000000000);
    perform private.require_range('calls', calls, 1, 1000000);
    -- The rule stands on the table; what breaks it must not reach the arithmetic.
    if per not between interval '1 second' and interval '31 days' then
        raise check_violation;
    end if;
    -- A month counts as 30 days: every window of a length must be as long as the next.
    window_length := make_interval(secs => extract(epoch from per)::double precision);
    start := date_bin(window_length, moment, timestamptz '2000-01-01 00:00:00+00');
    insert into private.rate_limits as present (key, per, starts_at, ends_at, calls, refused, allowed)
    select
        take_from_limit.key, take_from_limit.per, start, start + window_length,
        case when fits then take_from_limit.calls else 0 end,
        case when fits then 0 else take_from_limit.calls end,
        fits
    from (select take_from_limit.calls <= take_from_limit.max_calls) as asked (fits)
    on conflict on constraint rate_limits_pkey do update set
        calls = present.calls
            + case when present.calls + take_from_limit.calls <= take_from_limit.max_calls then take_from_limit.calls else 0 end,
        refused = present.refused
            + case when present.calls + take_from_limit.calls <= take_from_limit.max_calls then 0 else take_from_limit.calls end,
        allowed = present.calls + take_from_limit.calls <= take_from_limit.max_calls
    returning * into counted;
    return (
        counted.allowed,
        greatest(max_calls - counted.calls, 0),
        case when counted.allowed then 0 else greatest(round(extract(epoch from counted.ends_at - moment), 3), 0.001) end
    );
exception
    when check_violation or not_null_violation then
        perform private.refuse_arguments(private.row_problems('private.rate_limits', jsonb_build_object(
            'key', key, 'per', per
        )), sqlerrm);
        return null;
end;
$$;
comment on function private.take_from_limit is 'Take calls from what a key may use in the present window.';
grant execute on function private.take_from_limit to authenticated, service_role;

-- Count a call under a key, and say whether it may go on: at most max_calls in each window as long as `per`.
create function public.check_rate_limit(key text, max_calls integer, per interval)
returns public.rate_limit
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    if check_rate_limit.key like 'anonymous_jobs:%' then
        perform private.refuse_argument('key', 'must not begin with anonymous_jobs:, under which the database counts');
    end if;
    return private.take_from_limit(check_rate_limit.key, check_rate_limit.max_calls, check_rate_limit.per);
end;
$$;
comment on function public.check_rate_limit is 'Count a call under a key and say whether it may go on. Backends only.';
grant execute on function public.check_rate_limit to authenticated, service_role;

insert into private.settings (name, form, value, description) values (
    'anonymous_jobs_per_hour', 'whole number or null', '100',
    'How many jobs anonymous clients of one address (one /64 network of IPv6) may create in an hour; null is no limit.'
);

-- Refuse an anonymous client that creates more jobs than the setting allows. A provider gives each customer a whole /64
-- network of IPv6, so that is what counts as one address there.
--
-- A refusal raises, and with it goes all that its transaction wrote: it cannot keep a security event itself. So the
-- event `rate_limited` is written by the call that takes the last job of a window, from where on each further one of
-- the window is refused: once a window, and committed with that job. Whoever asks for more jobs at once than are left
-- is refused too, and leaves no trace unless the last one is taken. Definer: it reads the setting, counts and records.
create function private.limit_anonymous_jobs(address inet, jobs integer default 1)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    most integer := private.number_setting('anonymous_jobs_per_hour');
    client text := case
        when family(address) = 6 then network(set_masklen(address, 64))::text
        else coalesce(host(address), 'unknown')
    end;
    taken public.rate_limit;
begin
    if most is null then
        return;
    end if;
    taken := private.take_from_limit('anonymous_jobs:' || client, most, interval '1 hour', limit_anonymous_jobs.jobs);
    if not taken.allowed then
        perform private.fail(
            'rate_limited',
            format('An anonymous client may create %s jobs an hour, and %s of them are left.', most, taken.remaining),
            jsonb_build_object('retry_after', taken.retry_after, 'remaining', taken.remaining, 'limit', most),
            format('Wait %s seconds, or sign in.', ceil(taken.retry_after))
        );
    elsif taken.remaining = 0 then
        perform private.record_security_event('rate_limited', 'warning', jsonb_build_object(
            'key', 'anonymous_jobs:' || client, 'limit', most, 'per', '1 hour'
        ));
    end if;
end;
$$;
comment on function private.limit_anonymous_jobs is 'Refuse an anonymous client that creates too many jobs.';
grant execute on function private.limit_anonymous_jobs to anon, authenticated, service_role;
