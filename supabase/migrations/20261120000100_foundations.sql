-- Foundations: what every domain stands on. Enums, the schema `private`, errors, settings,
-- and the helpers that say who is calling.
--
-- Nothing is granted to anyone except by the `grant` under an object: not to PUBLIC, not to
-- the API's roles, not to service_role. Hosted projects created since May 2026 start that way;
-- these lines make older projects the same for what the migration's role creates.

alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke execute on functions from anon, authenticated, service_role;

-- Helpers live here; the API does not expose this schema. The API's roles may use it because
-- policies and invoker functions call helpers with the caller's own rights.
create schema private;
comment on schema private is 'Helpers of the public functions and policies; not exposed by the API.';
grant usage on schema private to anon, authenticated, service_role;

-- Realtime follows this publication; every Supabase project has it. A plain Postgres gets it here. What is put into it
-- stands with each table: the log of jobs and the system's events, nothing else.
do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
end;
$$;

-- Enums -------------------------------------------------------------------------------------

create type public.job_status as enum ('pending', 'processing', 'completed', 'failed', 'cancelled', 'timeout');
comment on type public.job_status is 'Where a job is; allowed changes are the rows of job_transitions.';

create type public.element_type as enum ('video', 'image', 'audio', 'text', 'overlay');
comment on type public.element_type is 'What an element is; an overlay is a picture or clip meant to lie on top.';

create type public.fit_mode as enum ('auto', 'contain', 'cover', 'fill', 'stretch');
comment on type public.fit_mode is 'How a source fills its box; auto is contain.';

create type public.processing_step as enum (
    'validation', 'download', 'processing', 'composition', 'encoding', 'upload', 'cleanup'
);
comment on type public.processing_step is 'The steps a worker takes, in this order.';

create type public.storage_operation as enum ('upload', 'download', 'delete', 'access');
comment on type public.storage_operation is 'What was done with a stored object.';

create type public.response_type as enum ('immediate', 'async');
comment on type public.response_type is 'Whether the caller waits for the video or comes back for it.';

-- Errors ------------------------------------------------------------------------------------

-- Every cause for which a function of this database refuses, and the HTTP status it becomes.
-- docs/errors.md and the client's registry name the same set; a test compares the three.
create table private.error_causes (
    error text primary key,
    status integer not null check (status between 400 and 599),
    meaning text not null
);
alter table private.error_causes enable row level security;
create policy "Everyone may look up a cause" on private.error_causes
    for select to anon, authenticated, service_role using (true);
grant select on private.error_causes to anon, authenticated, service_role;
comment on table private.error_causes is 'Every cause for which a function refuses, with its HTTP status.';

insert into private.error_causes (error, status, meaning) values
    ('not_found', 404, 'No such row, or none that the caller may see.'),
    ('permission_denied', 403, 'The caller may not do this.'),
    ('client_unknown', 403, 'An anonymous request whose address is not known.'),
    ('invalid_argument', 422, 'One or more arguments break a rule; `problems` lists them all.'),
    ('invalid_cursor', 422, 'The cursor is not one that this list handed out.'),
    ('invalid_transition', 409, 'The status cannot change like that from where the job is now.'),
    ('job_not_pending', 409, 'Only a job that waits can be changed like that.'),
    ('job_not_processing', 409, 'Only a job that is being processed has progress.'),
    ('job_finished', 409, 'The job has ended; nothing more can be recorded on it.'),
    ('order_taken', 409, 'Another row of the job already has this place in the order.'),
    ('step_completed', 409, 'The step has already been completed.'),
    ('job_not_finished', 409, 'Only a job that has ended can be deleted or tried again.'),
    ('idempotency_conflict', 409, 'The idempotency key was given before, with another request.'),
    ('lease_lost', 409, 'The job is claimed by somebody else, or by nobody; the caller''s claim is over.'),
    ('consumer_busy', 409, 'Another instance of the consumer holds its lease.'),
    ('cursor_behind', 409, 'The consumer has committed a later place already.'),
    ('rate_limited', 429, 'Too many calls; `retry_after` says in how many seconds there is room again.'),
    ('quota_exceeded', 403, 'The user would have more unfinished jobs than a user may have.');

-- The one way in which a function refuses: SQLSTATE PT + HTTP status, so that PostgREST answers
-- with that status; `detail` is JSON for programs, `hint` the remedy. It never returns: what a function
-- returns after it is for plpgsql_check, which cannot know.
create function private.fail(error text, message text, data jsonb default '{}', hint text default null)
returns void
language plpgsql
stable
set search_path = ''
as $$
declare
    status integer;
begin
    select causes.status into strict status
    from private.error_causes as causes
    where causes.error = fail.error;
    if fail.hint is null then
        raise exception using
            errcode = 'PT' || status,
            message = fail.message,
            detail = jsonb_build_object('error', fail.error) || fail.data;
    end if;
    raise exception using
        errcode = 'PT' || status,
        message = fail.message,
        detail = jsonb_build_object('error', fail.error) || fail.data,
        hint = fail.hint;
end;
$$;
comment on function private.fail is 'Refuse: raises SQLSTATE PT + status with a JSON detail.';
grant execute on function private.fail to anon, authenticated, service_role;

-- What a value of a type looks like, for a caller who gave something else.
create function private.type_words(type oid)
returns text
language sql
stable
set search_path = ''
as $$
    select case
        when typelem <> 0 and typcategory = 'A' then 'must be a list, of which each ' || private.type_words(typelem)
        when typtype = 'e' then 'must be one of ' || (
            select string_agg(enumlabel, ', ' order by enumsortorder)
            from pg_catalog.pg_enum where enumtypid = pg_type.oid
        )
        when pg_type.oid in ('integer'::regtype, 'bigint'::regtype, 'smallint'::regtype)
            then 'must be a whole number that fits ' || format_type(pg_type.oid, null)
        when typcategory = 'N' then 'must be a number'
        when pg_type.oid = 'uuid'::regtype then 'must be a UUID'
        when pg_type.oid = 'inet'::regtype then 'must be an IP address'
        when pg_type.oid = 'boolean'::regtype then 'must be true or false'
        when typcategory = 'D' then 'must be a time, as ISO 8601 writes it'
        when typcategory = 'T' then 'must be a duration, such as 90 seconds'
        else 'must be ' || format_type(pg_type.oid, null)
    end
    from pg_catalog.pg_type where pg_type.oid = type_words.type;
$$;
comment on function private.type_words is 'What a value of a type looks like, in words.';
grant execute on function private.type_words to anon, authenticated, service_role;

-- The properties of a JSON object that do not fit the columns they are meant for, as [{argument, problem}, …].
create function private.type_problems(relation regclass, given jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    attribute record;
    problems jsonb := jsonb_build_array();
begin
    for attribute in
        select attname, atttypid from pg_catalog.pg_attribute
        where attrelid = relation and attnum > 0 and not attisdropped and given ? attname
        order by attnum
    loop
        begin
            execute format('select (jsonb_populate_record(null::%s, $1)).%I', relation, attribute.attname)
            using jsonb_build_object(attribute.attname, given -> attribute.attname);
        exception
            when data_exception then
                problems := problems || jsonb_build_object(
                    'argument', attribute.attname, 'problem', private.type_words(attribute.atttypid)
                );
        end;
    end loop;
    return problems;
end;
$$;
comment on function private.type_problems is 'The properties of an object that do not fit the columns of their names.';
grant execute on function private.type_problems to anon, authenticated, service_role;

-- For a rule that takes long to judge: Postgres judges a constraint with every update of a row, and a trigger before its column is
-- written. The trigger's condition is what breaks the rule.
create function private.break_rule()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise check_violation using
        message = format('new row for relation "%s" breaks the rule "%s"', tg_table_name, tg_name),
        schema = tg_table_schema, table = tg_table_name, constraint = tg_name;
end;
$$;
comment on function private.break_rule is 'Trigger: refuses a value, as a constraint does.';

-- Which rules a row would break, as [{argument, problem}, …]. A rule stands once, as a constraint or as a trigger's condition, and
-- its words once, as the comment on that. Runs only after a violation, so that the caller
-- learns of all problems at once. Columns that `given` does not have are taken to be right.
create function private.row_problems(relation regclass, given jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    rule record;
    broken boolean;
    problems jsonb := private.type_problems(relation, given);
    fitting jsonb := given - array(select problem ->> 'argument' from jsonb_array_elements(problems) as problem);
begin
    for rule in
        select attname::text as argument, 'is required' as words, null::text as expression
        from pg_catalog.pg_attribute
        where attrelid = relation and attnotnull and attnum > 0 and given -> attname = 'null'
        union all
        select
            (select attname from pg_catalog.pg_attribute where attrelid = conrelid and attnum = conkey[1]),
            obj_description(pg_constraint.oid, 'pg_constraint'),
            pg_get_expr(conbin, conrelid)
        from pg_catalog.pg_constraint
        -- Rules without words are not for callers: the functions see to them.
        where conrelid = relation and contype = 'c' and obj_description(pg_constraint.oid, 'pg_constraint') is not null
        union all
        select
            (select attname from pg_catalog.pg_attribute where attrelid = tgrelid and attnum = tgattr[0]),
            obj_description(pg_trigger.oid, 'pg_trigger'),
            'not ' || substring(pg_get_triggerdef(pg_trigger.oid) from ' WHEN (\(.*\)) EXECUTE FUNCTION ')
        from pg_catalog.pg_trigger
        where tgrelid = relation and tgfoid = 'private.break_rule'::regproc
        order by 1
    loop
        broken := true;
        if rule.expression is not null then
            execute format(
                'select (%s) is false from jsonb_populate_record(null::%s, $1) as new', rule.expression, relation
            ) into broken using fitting;
        end if;
        if broken then
            problems := problems || jsonb_build_object('argument', rule.argument, 'problem', rule.words);
        end if;
    end loop;
    return problems;
end;
$$;
comment on function private.row_problems is 'Every rule of a table that a row would break, in words.';
grant execute on function private.row_problems to anon, authenticated, service_role;

-- Every problem of every object in a JSON array that is meant for rows of a table. `properties` are the columns
-- that may be given: a misspelt one would be ignored in silence. A column without a default must be there, unless
-- it is one of `filled`, which the function fills in itself; null means the default. `prefix` goes before an argument's name, with %s for the object's place in the array.
create function private.rows_problems(
    relation regclass,
    items jsonb,
    properties text[],
    prefix text,
    filled text[] default '{}'
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    item record;
    found_here jsonb;
    problems jsonb := jsonb_build_array();
    required text[] := array(
        select attname from pg_catalog.pg_attribute
        where attrelid = relation and attname = any (properties) and attname <> all (filled)
            and attnotnull and not atthasdef
    );
begin
    for item in
        select value, place - 1 as place from jsonb_array_elements(items) with ordinality as element (value, place)
    loop
        if jsonb_typeof(item.value) <> 'object' then
            found_here := jsonb_build_array(jsonb_build_object('argument', '', 'problem', 'must be a JSON object'));
        else
            select private.row_problems(
                relation,
                (
                    select coalesce(jsonb_object_agg(name, null), '{}') from unnest(required) as name
                ) || (
                    select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(item.value)
                    where key = any (properties) and value <> 'null'
                )
            ) || coalesce(
                jsonb_agg(jsonb_build_object('argument', name, 'problem', 'is not known') order by name), '[]'
            )
            into found_here
            from jsonb_object_keys(item.value) as name where name <> all (properties);
        end if;
        problems := problems || (
            select coalesce(jsonb_agg(problem || jsonb_build_object(
                'argument', rtrim(format(prefix, item.place) || (problem ->> 'argument'), '.')
            )), '[]')
            from jsonb_array_elements(found_here) as problem
        );
    end loop;
    return problems;
end;
$$;
comment on function private.rows_problems is 'Every problem of every object in a JSON array meant for a table.';
grant execute on function private.rows_problems to anon, authenticated, service_role;

-- Refuse what is no JSON array of 1 to `most` items.
create function private.require_list(argument text, value jsonb, most integer)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if jsonb_typeof(value) is distinct from 'array' or jsonb_array_length(value) not between 1 and most then
        perform private.refuse_argument(argument, format('must be a JSON array of 1 to %s items', most));
    end if;
end;
$$;
comment on function private.require_list is 'Refuse what is no JSON array of a sensible length.';
grant execute on function private.require_list to anon, authenticated, service_role;

-- Refuse a number that is null or out of range.
create function private.require_range(argument text, value numeric, least_value numeric, most_value numeric)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if value is null or value not between least_value and most_value then
        perform private.refuse_argument(argument, format('must be %s to %s', least_value, most_value));
    end if;
end;
$$;
comment on function private.require_range is 'Refuse a number that is null or out of range.';
grant execute on function private.require_range to anon, authenticated, service_role;

-- Refuse arguments for the given problems; `violation` is Postgres's own message, used when there are none.
create function private.refuse_arguments(problems jsonb, violation text default 'The arguments are not valid.')
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.fail(
        'invalid_argument',
        coalesce(
            (
                select string_agg(format('%s %s', problem ->> 'argument', problem ->> 'problem'), '; ')
                from jsonb_array_elements(problems) as problem
            ),
            violation
        ),
        jsonb_build_object('problems', problems)
    );
end;
$$;
comment on function private.refuse_arguments is 'Refuse arguments, naming all problems.';
grant execute on function private.refuse_arguments to anon, authenticated, service_role;

-- Refuse one argument.
create function private.refuse_argument(argument text, problem text)
returns void
language sql
stable
set search_path = ''
as $$
    select private.refuse_arguments(
        jsonb_build_array(jsonb_build_object('argument', argument, 'problem', problem))
    );
$$;
comment on function private.refuse_argument is 'Refuse one argument, saying what is wrong with it.';
grant execute on function private.refuse_argument to anon, authenticated, service_role;

-- Refuse a time that no report or list can mean: calculating with it would end in an error of its own.
create function private.require_moment(argument text, value timestamptz)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if value < '1970-01-01 00:00:00+00' or value >= '3000-01-01 00:00:00+00' then
        perform private.refuse_argument(argument, 'must be a time of the years 1970 to 2999');
    end if;
end;
$$;
comment on function private.require_moment is 'Refuse a time that no report can mean.';
grant execute on function private.require_moment to anon, authenticated, service_role;

-- Nothing lies in a period that ends before it begins: a mistake, and no answer. Null is open on its side.
create function private.require_period(from_time timestamptz, to_time timestamptz)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if from_time > to_time then
        perform private.refuse_argument('from_time', 'must not be later than to_time');
    end if;
end;
$$;
comment on function private.require_period is 'Refuse a period that ends before it begins.';
grant execute on function private.require_period to anon, authenticated, service_role;

-- Pages -------------------------------------------------------------------------------------

-- The place of a row in a list that is sorted by one value and then by id, as an opaque text for the caller. `list`
-- names the list and its order, so that a cursor of one is refused by another.
create function private.cursor(list text, value jsonb, id text)
returns text
language sql
immutable
set search_path = ''
as $$
    select translate(
        encode(convert_to(jsonb_build_array(cursor.list, cursor.value #>> '{}', cursor.id)::text, 'utf8'), 'base64'),
        E'+/=\n', '-_'
    );
$$;
comment on function private.cursor is 'The place of a row in a sorted list, as an opaque text.';
grant execute on function private.cursor to anon, authenticated, service_role;

-- The value and id in a cursor of the list; invalid_cursor when it is none, or does not hold values of these types.
create function private.cursor_place(
    list text,
    cursor text,
    value_type regtype,
    id_type regtype,
    out value text,
    out id text
)
language plpgsql
stable
set search_path = ''
as $$
declare
    parts jsonb;
begin
    if cursor is null then
        return;
    end if;
    if length(cursor) > 1000 then
        raise data_exception;
    end if;
    parts := convert_from(decode(
        rpad(translate(cursor, '-_', '+/'), (length(cursor) + 3) / 4 * 4, '='), 'base64'
    ), 'utf8')::jsonb;
    if parts ->> 0 is distinct from list or jsonb_array_length(parts) <> 3 then
        raise data_exception;
    end if;
    value := parts ->> 1;
    id := parts ->> 2;
    if value is null or id is null then
        raise data_exception;
    end if;
    execute format('select %L::%s, %L::%s', value, value_type, id, id_type);
exception
    when data_exception then
        perform private.fail(
            'invalid_cursor',
            'The cursor was not handed out by this list.',
            jsonb_build_object('cursor', left(cursor, 100)),
            'Start again without a cursor.'
        );
end;
$$;
comment on function private.cursor_place is 'The value and id in a cursor of a list, else invalid_cursor.';
grant execute on function private.cursor_place to anon, authenticated, service_role;

-- The first transaction that is still open: what it and later ones may yet commit lies behind it.
create function private.log_horizon()
returns xid8
language sql
stable
set search_path = ''
as $$
    select pg_snapshot_xmin(pg_current_snapshot());
$$;
comment on function private.log_horizon is 'The first transaction that may still write into the log.';
grant execute on function private.log_horizon to anon, authenticated, service_role;

-- The place that a cursor of a log names, at or before its end: nothing is there yet beyond it, unless the cursor is
-- of another database. Without a cursor null.
create function private.log_place(cursor text, log text default 'events', out xid xid8, out id bigint)
language plpgsql
stable
set search_path = ''
as $$
declare
    place record := private.cursor_place(log, cursor, 'xid8', 'bigint');
begin
    xid := place.value::xid8;
    id := place.id::bigint;
    if xid > private.log_horizon() or id < 0 then
        perform private.fail(
            'invalid_cursor',
            'The cursor lies beyond the end of the log.',
            jsonb_build_object('cursor', cursor),
            'Use a cursor that this database returned.'
        );
    end if;
end;
$$;
comment on function private.log_place is 'The place that a cursor of a log names.';
grant execute on function private.log_place to anon, authenticated, service_role;

-- Settings ----------------------------------------------------------------------------------

-- What an operator may tune without a migration. Written in SQL only; the API cannot reach it.
create table private.settings (
    name text primary key,
    form text not null,
    value jsonb not null,
    description text not null,
    constraint settings_form_known check (
        form in ('text', 'true or false', 'number', 'number or null', 'whole number', 'whole number or null')
    ),
    -- A mistake is refused where it is made, not found by every call from then on.
    constraint settings_value_has_its_form check (
        case jsonb_typeof(value)
            when 'null' then form like '% or null'
            when 'string' then form = 'text'
            when 'boolean' then form = 'true or false'
            when 'number' then value::numeric between 0 and 2147483647
                and (form like 'number%' or form like 'whole number%' and value::numeric % 1 = 0)
            else false
        end
    )
);
alter table private.settings enable row level security;
create policy "No role of the API reaches the settings" on private.settings
    for all to anon, authenticated, service_role using (false);
comment on table private.settings is 'What an operator may tune; one row a setting.';
comment on column private.settings.form is 'What its value may be; numbers are 0 to 2147483647.';
comment on constraint settings_form_known on private.settings is 'must be a form that the value is held to';
comment on constraint settings_value_has_its_form on private.settings is 'must have the form that the row names';

insert into private.settings (name, form, value, description) values
    (
        'client_ip_header', 'text', '"x-forwarded-for"',
        'Request header that holds the client''s address and that a client cannot write: '
        'x-forwarded-for, or a header of the proxy in front (cf-connecting-ip on hosted Supabase).'
    ),
    (
        'client_ip_position', 'whole number', '1',
        'Which entry of x-forwarded-for, counted from the right, the nearest trusted proxy wrote. '
        'Entries further left are the client''s own words.'
    );

-- One setting's value; null when there is none. Definer: callers must not read the whole table.
create function private.setting(name text)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    select value from private.settings where settings.name = setting.name;
$$;
comment on function private.setting is 'The value of one setting.';
grant execute on function private.setting to anon, authenticated, service_role;

-- One that is a number. Definer: as above.
create function private.number_setting(name text)
returns numeric
language sql
stable
security definer
set search_path = ''
as $$
    select (value #>> '{}')::numeric from private.settings where settings.name = number_setting.name;
$$;
comment on function private.number_setting is 'The value of a setting that is a number.';
grant execute on function private.number_setting to anon, authenticated, service_role;

-- One that is a number of days. No further back than timestamps go, whatever it says.
create function private.days_ago(setting text)
returns timestamptz
language sql
stable
set search_path = ''
as $$
    select now() - make_interval(secs => (86400 * least(private.number_setting(setting), 1000000))::double precision);
$$;
comment on function private.days_ago is 'The time that lies the days of a setting back; null without a value.';
grant execute on function private.days_ago to anon, authenticated, service_role;

-- Who is calling ----------------------------------------------------------------------------

-- True in a direct SQL session of the schema's owner (psql, the dashboard's editor, a migration) that has not
-- taken another role: the API always sets claims, and its sessions never belong to the owner. The role is read from
-- its setting, because current_user is the owner inside a definer function.
create function private.is_operator()
returns boolean
language sql
stable
set search_path = ''
as $$
    select coalesce(current_setting('request.jwt.claims', true), '') = ''
        and (
            select pg_has_role(session_user, nspowner, 'member')
                and (
                    current_setting('role') = 'none'
                    or pg_has_role(current_setting('role')::name, nspowner, 'member')
                )
            from pg_catalog.pg_namespace where nspname = 'private'
        );
$$;
comment on function private.is_operator is 'Whether this is a direct SQL session of the owner.';
grant execute on function private.is_operator to anon, authenticated, service_role;

-- The role an actor has on the platform: service_role, admin, service_account, authenticated or anon.
-- It is read from app_metadata, which only the server writes; user_metadata belongs to the user.
create function private.user_role()
returns text
language sql
stable
set search_path = ''
as $$
    select case
        when private.is_operator() then 'admin'
        when auth.role() = 'service_role' then 'service_role'
        when auth.role() = 'authenticated' and auth.jwt() -> 'app_metadata' ->> 'role' in ('admin', 'service_account')
            then auth.jwt() -> 'app_metadata' ->> 'role'
        else coalesce(auth.role(), 'anon')
    end;
$$;
comment on function private.user_role is 'service_role, admin, service_account, authenticated or anon.';
grant execute on function private.user_role to anon, authenticated, service_role;

-- The signed-in user. Null where there is none, also where another issuer's `sub` is no UUID: such a user owns nothing here.
create function private.user_id()
returns uuid
language sql
stable
set search_path = ''
as $$
    select case
        when auth.jwt() ->> 'sub' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then (auth.jwt() ->> 'sub')::uuid
    end;
$$;
comment on function private.user_id is 'The signed-in user, or null.';
grant execute on function private.user_id to anon, authenticated, service_role;

-- Whether the caller is an admin or holds the service key.
create function private.is_admin()
returns boolean
language sql
stable
set search_path = ''
as $$
    select private.user_role() in ('admin', 'service_role');
$$;
comment on function private.is_admin is 'Whether the caller is an admin or holds the service key.';
grant execute on function private.is_admin to anon, authenticated, service_role;

-- Whether the caller is a backend: a service account, an admin or the service key.
create function private.is_service()
returns boolean
language sql
stable
set search_path = ''
as $$
    select private.user_role() in ('service_account', 'admin', 'service_role');
$$;
comment on function private.is_service is 'Whether the caller is a backend: service account, admin or service key.';
grant execute on function private.is_service to anon, authenticated, service_role;

-- Refuse everyone but backends.
create function private.require_service()
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not private.is_service() then
        perform private.fail(
            'permission_denied',
            'Only a backend may do this.',
            jsonb_build_object('role', private.user_role()),
            'Call with the service key, or as a user whose app_metadata.role is service_account or admin.'
        );
    end if;
end;
$$;
comment on function private.require_service is 'Refuse everyone but backends.';
grant execute on function private.require_service to anon, authenticated, service_role;

-- Refuse everyone but admins and the service key.
create function private.require_admin()
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not private.is_admin() then
        perform private.fail(
            'permission_denied',
            'Only an admin may do this.',
            jsonb_build_object('role', private.user_role()),
            'Call with the service key, or as a user whose app_metadata.role is admin.'
        );
    end if;
end;
$$;
comment on function private.require_admin is 'Refuse everyone but admins and the service key.';
grant execute on function private.require_admin to anon, authenticated, service_role;

-- The client's address: the one that a backend vouches for by the claim `client_ip` of a short-lived JWT, else from the header
-- that the settings trust. Null when there is none or it is no address (Realtime, for one, evaluates policies without request
-- headers), and of a token that is not to expire within a day.
create function private.client_ip()
returns inet
language plpgsql
stable
set search_path = ''
as $$
declare
    header text := private.setting('client_ip_header') #>> '{}';
    claims jsonb := auth.jwt();
    addresses text[];
    address text;
begin
    addresses := string_to_array(
        nullif(current_setting('request.headers', true), '')::jsonb ->> header, ','
    );
    if claims ? 'client_ip' then
        if jsonb_typeof(claims -> 'exp') = 'number' and (claims ->> 'exp')::numeric <= extract(epoch from now()) + 86400 then
            address := claims ->> 'client_ip';
        end if;
    elsif header = 'x-forwarded-for' then
        address := addresses[cardinality(addresses) + 1 - private.number_setting('client_ip_position')::integer];
    else
        address := addresses[1];
    end if;
    -- An IPv4 address written as IPv6 is the same client; a mask would make it many.
    return host(regexp_replace(trim(address), '^::ffff:(\d+\.\d+\.\d+\.\d+)$', '\1', 'i')::inet)::inet;
exception
    when invalid_text_representation then
        return null;
end;
$$;
comment on function private.client_ip is 'The caller''s address as the trusted proxy saw it, or null.';
grant execute on function private.client_ip to anon, authenticated, service_role;

-- The one job that a watch token lets its holder see: the claim `watch_job_id` of a short-lived JWT. A token that is not to
-- expire within a day, or names no job, is none of ours: its holder sees no job at all, for no job has the nil UUID.
create function private.watched_job()
returns uuid
language sql
stable
set search_path = ''
as $$
    select case
        when claims ->> 'watch_job_id' is null then null
        when claims ->> 'watch_job_id' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
            and jsonb_typeof(claims -> 'exp') = 'number'
            and (claims ->> 'exp')::numeric <= extract(epoch from now()) + 86400
            then (claims ->> 'watch_job_id')::uuid
        else '00000000-0000-0000-0000-000000000000'
    end
    from auth.jwt() as claims;
$$;
comment on function private.watched_job is 'The job named in the caller''s watch token, or null.';
grant execute on function private.watched_job to anon, authenticated, service_role;

-- Whether a JSON value is an object that every client can read: not larger than `bytes`, at most 32 levels deep, and
-- without numbers beyond a double's range (Python, for one, refuses integers of thousands of digits).
create function private.is_plain_object(value jsonb, bytes integer)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select jsonb_typeof(value) = 'object'
        and pg_column_size(value) <= bytes
        and not jsonb_path_exists(value, 'lax $.**{33}')
        and not jsonb_path_exists(value, 'lax $.** ? (@.type() == "number" && (@ > 1e300 || @ < -1e300))');
$$;
comment on function private.is_plain_object is 'Whether a JSON value is an object that every client can read.';
grant execute on function private.is_plain_object to anon, authenticated, service_role;

-- Keeps updated_at true on every table that has it.
create function private.touch_updated_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end;
$$;
comment on function private.touch_updated_at is 'Trigger: sets updated_at.';
