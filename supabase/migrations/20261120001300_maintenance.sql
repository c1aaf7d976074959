-- Maintenance: what is too old goes, the schema is compared with what the migrations made, and one call tells how
-- the database is.

-- Retention ---------------------------------------------------------------------------------

insert into private.settings (name, form, value, description) values
    ('retention_days_jobs', 'number or null', '30', 'Days that a job stays after its end, with all that belongs to it; null is for ever.'),
    ('retention_days_storage_operations', 'number or null', '90', 'Days that a storage operation stays; null is for ever.'),
    ('retention_days_url_access_logs', 'number or null', '90', 'Days that an access to a URL stays; null is for ever.'),
    ('retention_days_system_metrics', 'number or null', '7', 'Days that a value of a metric stays; null is for ever.'),
    ('retention_days_system_events', 'number or null', '90', 'Days that a system event stays; null is for ever.'),
    ('retention_days_event_dead_letters', 'number or null', '90', 'Days that an event stays that a consumer gave up; null is for ever.'),
    ('retention_days_security_events', 'number or null', '365', 'Days that a security event stays; null is for ever.'),
    ('retention_days_rate_limits', 'number or null', '1', 'Days that a window of a rate limit stays after its end; null is for ever.');

-- Whether a named consumer has not committed all events of a job. A job that is deleted takes its events with it, so
-- one that a listener still has to learn of must wait: for as long as the listener stays away.
create function private.has_unread_events(job_id uuid)
returns boolean
language sql
stable
set search_path = ''
as $$
    select exists (
        select from public.job_events as events, public.event_consumers as consumers
        where events.job_id = has_unread_events.job_id
            and (events.xid, events.id) > (consumers.position_xid, consumers.position_id)
    );
$$;
comment on function private.has_unread_events is 'Whether a consumer has not committed all events of a job.';
grant execute on function private.has_unread_events to service_role;

-- Delete at most max_rows of the jobs that ended before a moment, the oldest first. What somebody else works on is
-- left for the next time, so this waits for nobody and cannot deadlock. A consumer that stays away can hold all jobs since then: so
-- no more than 10,000 are looked at beyond max_rows, which costs the same however many they get. Definer: nobody may delete from the table; so it
-- asks for itself who is calling, like the next one.
create function private.remove_finished_jobs(before timestamptz, max_rows integer)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    removed bigint;
begin
    perform private.require_admin();
    delete from public.jobs where jobs.id = any (array(
        select unlocked.id
        from (
            select jobs.id from public.jobs
            where jobs.finished_at < before
            order by jobs.finished_at
            limit max_rows + 10000
        ) as old,
            lateral (
                select jobs.id from public.jobs
                where jobs.id = old.id and jobs.finished_at < before
                for update skip locked
            ) as unlocked
        where not private.has_unread_events(old.id)
        limit max_rows
    ));
    get diagnostics removed = row_count;
    return removed;
end;
$$;
comment on function private.remove_finished_jobs is 'Delete jobs that ended before a moment; returns how many.';
grant execute on function private.remove_finished_jobs to authenticated, service_role;

-- Delete at most max_rows rows of a table whose time is before a moment, the oldest first, like the jobs above. The
-- statement is put together here because it is the same for every table; table and column are names in the functions below.
create function private.remove_old_rows(relation regclass, time_column name, before timestamptz, max_rows integer)
returns bigint
language plpgsql
security definer
set search_path = ''
as $$
declare
    removed bigint;
begin
    perform private.require_admin();
    execute format(
        'delete from %1$s where ctid = any (array('
        'select ctid from %1$s where %2$I < $1 order by %2$I limit $2 for update skip locked))',
        relation, time_column
    ) using before, max_rows;
    get diagnostics removed = row_count;
    return removed;
end;
$$;
comment on function private.remove_old_rows is 'Delete rows of a table that are older than a moment; returns how many.';
grant execute on function private.remove_old_rows to authenticated, service_role;

-- Delete the jobs that ended more than `days` ago, with all that belongs to them. Those stay for now that somebody works
-- on, and those with events that a consumer has not committed. All in one transaction; where very many have piled up,
-- enforce_data_retention takes them in steps.
create function public.cleanup_old_jobs(days integer default 30)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    batch constant integer := 1000;
    removed bigint := 0;
    removed_now bigint;
begin
    perform private.require_admin();
    perform private.require_range('days', days, 1, 36500);
    loop
        removed_now := private.remove_finished_jobs(now() - make_interval(days => cleanup_old_jobs.days), batch);
        removed := removed + removed_now;
        exit when removed_now < batch;
    end loop;
    perform private.audit('cleanup_old_jobs', null, jsonb_build_object('days', days, 'removed', removed));
    return removed;
end;
$$;
comment on function public.cleanup_old_jobs is 'Delete jobs that ended days ago; returns how many. Admins only.';
grant execute on function public.cleanup_old_jobs to authenticated, service_role;

-- Delete the values of metrics that are older than `days`.
create function public.cleanup_old_metrics(days integer default 7)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    batch constant integer := 10000;
    removed bigint := 0;
    removed_now bigint;
begin
    perform private.require_admin();
    perform private.require_range('days', days, 1, 36500);
    loop
        removed_now := private.remove_old_rows(
            'public.system_metrics', 'recorded_at', now() - make_interval(days => cleanup_old_metrics.days), batch
        );
        removed := removed + removed_now;
        exit when removed_now < batch;
    end loop;
    perform private.audit('cleanup_old_metrics', null, jsonb_build_object('days', days, 'removed', removed));
    return removed;
end;
$$;
comment on function public.cleanup_old_metrics is 'Delete values older than days; returns how many. Admins only.';
grant execute on function public.cleanup_old_metrics to authenticated, service_role;

-- Hold every table to its setting retention_days_<table>, removing at most max_rows rows of each, the oldest first. A call
-- does not take long whatever has piled up; call again while more_left is true anywhere.
create function public.enforce_data_retention(max_rows integer default 10000)
returns table (table_name text, removed bigint, more_left boolean)
language plpgsql
set search_path = ''
as $$
declare
    rule record;
    counts jsonb := jsonb '{}';
    before timestamptz;
begin
    perform private.require_admin();
    perform private.require_range('max_rows', max_rows, 1, 100000);
    for rule in
        select to_regclass(schema_name || '.' || name) as relation, name, time_column
        from (values
            ('public', 'jobs', 'finished_at'),
            ('public', 'storage_operations', 'created_at'),
            ('public', 'url_access_logs', 'accessed_at'),
            ('public', 'system_metrics', 'recorded_at'),
            ('public', 'system_events', 'created_at'),
            ('public', 'event_dead_letters', 'created_at'),
            ('public', 'security_events', 'created_at'),
            ('private', 'rate_limits', 'ends_at')
        ) as kept (schema_name, name, time_column)
    loop
        table_name := rule.name;
        -- Null, with a setting that is null or not there, keeps everything.
        before := private.days_ago('retention_days_' || rule.name);
        removed := case
            when before is null then 0
            when rule.name = 'jobs' then private.remove_finished_jobs(before, max_rows)
            else private.remove_old_rows(rule.relation, rule.time_column, before, max_rows)
        end;
        -- Fewer than asked for means that there were no more that could go now, so who calls again while it is true comes to an end.
        more_left := removed = max_rows;
        return next;
        if removed > 0 then
            counts := counts || jsonb_build_object(rule.name, removed);
        end if;
    end loop;
    if counts <> '{}' then
        perform private.audit('enforce_data_retention', null, jsonb_build_object('removed', counts));
    end if;
end;
$$;
comment on function public.enforce_data_retention is 'Remove what the settings say is too old, some of it a call. Admins only.';
grant execute on function public.enforce_data_retention to authenticated, service_role;

-- Have pg_cron call what must be called now and then; returns how many schedules there are now. Where pg_cron is installed
-- after the migrations, call this once. Calling it again changes nothing. For operators, so nobody has the right to it.
create function private.schedule_maintenance()
returns integer
language plpgsql
set search_path = ''
as $$
declare
    extension_schema name;
    task record;
    scheduled integer := 0;
begin
    select nspname into extension_schema
    from pg_catalog.pg_proc join pg_catalog.pg_namespace on pg_namespace.oid = pronamespace
    where nspname = 'cron' and proname = 'schedule' and has_schema_privilege(pg_namespace.oid, 'usage');
    if not found then
        return 0;
    end if;
    for task in
        select name, schedule, function from (values
            ('reelbase_enforce_data_retention', '* * * * *', 'public.enforce_data_retention'),
            ('reelbase_refresh_job_statistics', '* * * * *', 'public.refresh_job_statistics'),
            ('reelbase_rescue_stalled_jobs', '* * * * *', 'public.rescue_stalled_jobs')
        ) as tasks (name, schedule, function)
    loop
        -- By name only: without pg_cron there is no such function to refer to.
        execute format('select %I.schedule($1, $2, $3)', extension_schema)
        using task.name, task.schedule, format('select %s()', task.function);
        scheduled := scheduled + 1;
    end loop;
    return scheduled;
end;
$$;
comment on function private.schedule_maintenance is 'Have pg_cron call what must be called now and then.';

do $$
begin
    perform private.schedule_maintenance();
end;
$$;

-- The schema as the migrations made it -------------------------------------------------------

-- What the migrations made, as they saw it at their end.
create table private.schema_objects (
    kind text not null,
    name text not null,
    definition text not null,
    primary key (kind, name)
);
alter table private.schema_objects enable row level security;
create policy "No role of the API reaches the snapshot" on private.schema_objects
    for all to anon, authenticated, service_role using (false);
comment on table private.schema_objects is 'What the migrations had made when they ended.';

-- Everything in the schemas public and private that no extension brought, with its definition; the rules that are rows;
-- what says who hears Realtime's private topics, and what Realtime is told. Texts must come out the same in every session, so the settings
-- that change how Postgres writes an expression are fixed meanwhile.
create function private.present_schema()
returns setof private.schema_objects
language plpgsql
set search_path = ''
as $$
declare
    fixed constant jsonb := jsonb '{
        "timezone": "UTC", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "extra_float_digits": "1",
        "bytea_output": "hex", "quote_all_identifiers": "off", "standard_conforming_strings": "on"
    }';
    before jsonb;
begin
    select jsonb_object_agg(key, current_setting(key)) into before from jsonb_each_text(fixed);
    perform set_config(key, value, true) from jsonb_each_text(fixed);
    return query
        with schemas as (
            select oid, nspname, nspacl, nspowner from pg_catalog.pg_namespace where nspname in ('public', 'private')
        ),
        relations as (
            select pg_class.*, format('%I.%I', nspname, relname) as name
            from pg_catalog.pg_class join schemas on schemas.oid = relnamespace
            where not exists (
                select from pg_catalog.pg_depend
                where classid = 'pg_catalog.pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
            )
        ),
        columns as (
            select pg_attribute.*, format('%s.%I', relations.name, attname) as name, relations.relowner
            from pg_catalog.pg_attribute join relations on relations.oid = attrelid
            where relkind in ('r', 'p') and attnum > 0 and not attisdropped
        ),
        functions as (
            select pg_proc.*, pg_proc.oid::regprocedure::text as name
            from pg_catalog.pg_proc join schemas on schemas.oid = pronamespace
            where not exists (
                select from pg_catalog.pg_depend
                where classid = 'pg_catalog.pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e'
            )
        ),
        types as (
            select pg_type.*, format('%I.%I', nspname, typname) as name
            from pg_catalog.pg_type join schemas on schemas.oid = typnamespace
            where not exists (
                select from pg_catalog.pg_depend
                where classid = 'pg_catalog.pg_type'::regclass and objid = pg_type.oid and deptype = 'e'
            )
        ),
        granted as (
            select format('schema %I', nspname) as name, nspowner as owner, privilege.*
            from schemas, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as privilege
            union all
            select 'table ' || name, relowner, privilege.*
            from relations, aclexplode(coalesce(relacl, acldefault('r', relowner))) as privilege
            where relkind in ('r', 'p', 'v', 'm')
            union all
            select 'sequence ' || name, relowner, privilege.*
            from relations, aclexplode(coalesce(relacl, acldefault('S', relowner))) as privilege
            where relkind = 'S'
            union all
            select 'column ' || name, relowner, privilege.*
            from columns, aclexplode(attacl) as privilege
            union all
            select 'function ' || name, proowner, privilege.*
            from functions, aclexplode(coalesce(proacl, acldefault('f', proowner))) as privilege
        ),
        objects (kind, name, definition) as (
            select 'schema', format('%I', nspname), '' from schemas
            union all
            select 'table', relations.name, concat_ws(
                ', ', case relrowsecurity when true then 'row level security' end,
                case relforcerowsecurity when true then 'forced' end, 'persistence ' || relpersistence::text, reloptions::text
            )
            from relations where relkind in ('r', 'p')
            union all
            select 'view', relations.name, concat_ws(' ', reloptions::text, pg_get_viewdef(relations.oid))
            from relations where relkind in ('v', 'm')
            union all
            select 'sequence', relations.name, '' from relations where relkind = 'S'
            union all
            select 'column', columns.name, concat_ws(
                ' ', format_type(atttypid, atttypmod), case attnotnull when true then 'not null' end,
                'identity ' || nullif(attidentity::text, ''), 'generated ' || nullif(attgenerated::text, ''),
                'default ' || pg_get_expr(adbin, adrelid),
                case when attcollation <> typcollation then 'collation ' || attcollation::regcollation end
            )
            from columns
            join pg_catalog.pg_type on pg_type.oid = atttypid
            left join pg_catalog.pg_attrdef on adrelid = attrelid and adnum = attnum
            union all
            -- Postgres 18 has constraints for what is `not null`, older versions have not; columns tell it anyway. The words
            -- on a rule belong to it: a caller reads them.
            select
                'constraint', format('%I on %s', conname, relations.name),
                concat_ws(' -- ', pg_get_constraintdef(pg_constraint.oid), obj_description(pg_constraint.oid, 'pg_constraint'))
            from pg_catalog.pg_constraint join relations on relations.oid = conrelid
            where contype not in ('n', 't')
            union all
            select
                'index', format('%I on %s', indexes.relname, relations.name),
                concat_ws(' ', pg_get_indexdef(indexrelid), case indisvalid when false then 'invalid' end)
            from pg_catalog.pg_index
            join relations on relations.oid = indrelid
            join pg_catalog.pg_class as indexes on indexes.oid = indexrelid
            where relations.relkind in ('r', 'p', 'm')
            union all
            select 'policy', format('%I on %s', polname, relations.name), concat_ws(
                ' ', polcmd, case polpermissive when true then 'permissive' else 'restrictive' end,
                (
                    select string_agg(coalesce(rolname, 'public'), ', ' order by rolname)
                    from unnest(polroles) as role left join pg_catalog.pg_roles on pg_roles.oid = role
                ),
                'using ' || pg_get_expr(polqual, polrelid), 'check ' || pg_get_expr(polwithcheck, polrelid)
            )
            from pg_catalog.pg_policy
            join (
                select relations.oid, relations.name from relations
                union all
                -- Whatever else lets somebody listen there opens our topics too.
                select to_regclass('realtime.messages'), 'realtime.messages'
            ) as relations on relations.oid = polrelid
            union all
            select 'function', functions.name, concat_ws(
                ' ', prokind, pg_get_function_arguments(functions.oid), 'returns ' || pg_get_function_result(functions.oid),
                lanname, provolatile, proparallel, case prosecdef when true then 'security definer' end,
                case proisstrict when true then 'strict' end, proconfig::text, md5(prosrc), pg_get_function_sqlbody(functions.oid)
            )
            from functions join pg_catalog.pg_language on pg_language.oid = prolang
            union all
            select
                'trigger', format('%I on %s', tgname, relations.name),
                concat_ws(
                    ' ', pg_get_triggerdef(pg_trigger.oid), 'enabled ' || tgenabled::text,
                    '-- ' || obj_description(pg_trigger.oid, 'pg_trigger')
                )
            from pg_catalog.pg_trigger join relations on relations.oid = tgrelid
            where not tgisinternal
            union all
            select 'enum', types.name, (
                select string_agg(enumlabel, ', ' order by enumsortorder) from pg_catalog.pg_enum where enumtypid = types.oid
            )
            from types where typtype = 'e'
            union all
            select 'type', types.name, (
                select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)
                from pg_catalog.pg_attribute where attrelid = typrelid and attnum > 0 and not attisdropped
            )
            from types join pg_catalog.pg_class on pg_class.oid = typrelid
            where relkind = 'c'
            union all
            -- What an owner may do with what is its own goes without saying.
            select
                'grant', format('%s to %s', granted.name, coalesce(rolname, 'public')),
                string_agg(privilege_type || case when is_grantable then ' with grant option' else '' end, ', '
                    order by privilege_type, is_grantable)
            from granted left join pg_catalog.pg_roles on pg_roles.oid = grantee
            where grantee <> granted.owner
            group by granted.name, rolname
            union all
            select
                'publication', format('%s in %I', relations.name, pubname),
                concat_ws(' ', 'columns ' || prattrs::text, 'where ' || pg_get_expr(prqual, prrelid))
            from pg_catalog.pg_publication_rel
            join pg_catalog.pg_publication on pg_publication.oid = prpubid
            join relations on relations.oid = prrelid
            union all
            select 'publication', format('%I', pubname), concat_ws(
                ', ', case pubinsert when true then 'insert' end, case pubupdate when true then 'update' end,
                case pubdelete when true then 'delete' end, case pubtruncate when true then 'truncate' end
            )
            from pg_catalog.pg_publication where pubname = 'supabase_realtime'
            union all
            -- Rules that are rows.
            select 'rules', rules.name, md5(string_agg(rules.rule, E'\n' order by rules.rule collate "C"))
            from (
                select 'public.job_transitions', each::text from public.job_transitions as each
                union all
                select 'private.error_causes', each::text from private.error_causes as each
                union all
                select 'private.step_weights', each::text from private.step_weights as each
                union all
                select 'private.batch_functions', each::text from private.batch_functions as each
            ) as rules (name, rule)
            group by rules.name
        )
        select objects.kind, objects.name, coalesce(objects.definition, '') from objects;
    perform set_config(key, value, true) from jsonb_each_text(before);
end;
$$;
comment on function private.present_schema is 'Everything of ours in the database, with its definition.';

-- Keep what the schema is now as what it should be. Each release's last migration ends with this; so does an upgrade
-- of Postgres to another major version. For operators, so nobody has the right to it.
create function private.record_schema()
returns void
language plpgsql
set search_path = ''
as $$
begin
    delete from private.schema_objects;
    insert into private.schema_objects (kind, name, definition)
    select present.kind, present.name, present.definition from private.present_schema() as present
    union all
    select 'server', 'major version', (current_setting('server_version_num')::integer / 10000)::text;
end;
$$;
comment on function private.record_schema is 'Keep what the schema is now as what it should be.';

-- What differs between the schema and the snapshot. Another major version of Postgres may write the same definition
-- otherwise; then only existence is compared, and a notice says so. Definer: it reads the snapshot.
create function private.schema_problems()
returns table (kind text, name text, problem text)
language plpgsql
security definer
set search_path = ''
as $$
declare
    major constant text := (current_setting('server_version_num')::integer / 10000)::text;
    recorded_major text;
begin
    select objects.definition into recorded_major from private.schema_objects as objects where objects.kind = 'server';
    if recorded_major <> major then
        raise notice 'The snapshot was taken on Postgres %, this is %: definitions are not compared.', recorded_major, major
        using hint = 'Where the schema is known to be right, select private.record_schema() takes a new one.';
    end if;
    return query
        select
            coalesce(recorded.kind, present.kind),
            coalesce(recorded.name, present.name),
            case when present.kind is null then 'missing' when recorded.kind is null then 'unexpected' else 'altered' end
        from (select * from private.schema_objects as objects where objects.kind <> 'server') as recorded
        full join private.present_schema() as present
            on present.kind = recorded.kind and present.name = recorded.name
        where present.kind is null or recorded.kind is null
            or (recorded_major = major and present.definition <> recorded.definition)
        order by 1, 2;
end;
$$;
comment on function private.schema_problems is 'What differs between the schema and the snapshot.';
grant execute on function private.schema_problems to authenticated, service_role;

-- What is missing, altered or unexpected, compared with what the migrations made. No row: all is as it should be.
create function public.verify_database_schema()
returns table (kind text, name text, problem text)
language plpgsql
set search_path = ''
as $$
begin
    perform private.require_service();
    return query select * from private.schema_problems();
end;
$$;
comment on function public.verify_database_schema is 'What differs from the schema that the migrations made. Backends only.';
grant execute on function public.verify_database_schema to authenticated, service_role;

-- Health ------------------------------------------------------------------------------------

-- One part of the database's health, or null where it cannot be had: the view belongs to an extension that is not there,
-- a right is missing, the server is a replica. Definer: the owner sees more of the server than the API's roles, so
-- nobody but a backend gets an answer.
create function private.health_part(part text)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    statistics_schema name;
    measured jsonb;
begin
    perform private.require_service();
    case part
        when 'connections' then
            measured := (
                select jsonb_build_object(
                    'used', coalesce(sum(states.sessions), 0),
                    'max', current_setting('max_connections')::integer,
                    'by_state', coalesce(jsonb_object_agg(states.state, states.sessions), '{}')
                )
                from (
                    select coalesce(activity.state, 'unknown') as state, count(*) as sessions
                    from pg_catalog.pg_stat_activity as activity
                    where activity.backend_type = 'client backend'
                    group by 1
                ) as states
            );
        when 'cache_hit_ratio' then
            measured := (
                select to_jsonb(round(blks_hit::numeric / nullif(blks_hit + blks_read, 0), 4))
                from pg_catalog.pg_stat_database where datname = current_database()
            );
        when 'slow_queries' then
            -- The extension can be in any schema. Without it, this raises, and the answer is null.
            select nspname into strict statistics_schema
            from pg_catalog.pg_extension join pg_catalog.pg_namespace on pg_namespace.oid = extnamespace
            where extname = 'pg_stat_statements';
            execute format(
                'select coalesce(jsonb_agg(to_jsonb(slowest) order by slowest.total_ms desc), ''[]'') from ('
                'select left(query, 500) as query, calls, round(mean_exec_time::numeric, 3) as mean_ms, '
                'round(total_exec_time::numeric, 3) as total_ms from %I.pg_stat_statements '
                'where dbid = (select oid from pg_catalog.pg_database where datname = current_database()) '
                'order by total_exec_time desc limit 10) as slowest',
                statistics_schema
            ) into measured;
        when 'long_queries' then
            measured := (
                select coalesce(jsonb_agg(to_jsonb(longest) order by longest.seconds desc), '[]') from (
                    select
                        activity.pid, activity.usename as role, activity.wait_event_type, activity.wait_event,
                        round(extract(epoch from clock_timestamp() - activity.query_start), 3) as seconds,
                        left(activity.query, 500) as query
                    from pg_catalog.pg_stat_activity as activity
                    where activity.state = 'active' and activity.backend_type = 'client backend'
                        and activity.datname = current_database() and activity.pid <> pg_backend_pid()
                        and activity.query_start < clock_timestamp() - interval '5 seconds'
                    order by activity.query_start limit 20
                ) as longest
            );
        when 'oldest_transaction' then
            -- What keeps vacuum from removing anything newer. An empty object: there is none but this one.
            measured := coalesce((
                select jsonb_build_object(
                    'pid', activity.pid, 'role', activity.usename, 'state', activity.state,
                    'seconds', round(extract(epoch from clock_timestamp() - activity.xact_start), 3)
                )
                from pg_catalog.pg_stat_activity as activity
                where activity.xact_start is not null and activity.pid <> pg_backend_pid()
                    and activity.backend_type = 'client backend'
                order by activity.xact_start limit 1
            ), '{}');
        when 'transaction_ids' then
            measured := (
                select jsonb_build_object(
                    'age', age(datfrozenxid), 'freeze_at', current_setting('autovacuum_freeze_max_age')::bigint
                )
                from pg_catalog.pg_database where datname = current_database()
            );
        when 'size' then
            measured := jsonb_build_object(
                'database_bytes', pg_database_size(current_database()),
                'tables', (
                    select coalesce(jsonb_agg(to_jsonb(largest) order by largest.bytes desc), '[]') from (
                        select
                            format('%s.%s', tables.schemaname, tables.relname) as table,
                            pg_total_relation_size(tables.relid) as bytes,
                            pg_indexes_size(tables.relid) as index_bytes
                        from pg_catalog.pg_stat_user_tables as tables
                        where tables.schemaname in ('public', 'private')
                        order by 2 desc limit 20
                    ) as largest
                )
            );
        when 'dead_tuples' then
            measured := (
                select coalesce(jsonb_agg(to_jsonb(worst) order by worst.dead desc), '[]') from (
                    select
                        format('%s.%s', tables.schemaname, tables.relname) as table,
                        tables.n_live_tup as live,
                        tables.n_dead_tup as dead,
                        greatest(tables.last_vacuum, tables.last_autovacuum) as last_vacuum
                    from pg_catalog.pg_stat_user_tables as tables
                    where tables.schemaname in ('public', 'private') and tables.n_dead_tup > 0
                    order by tables.n_dead_tup desc limit 20
                ) as worst
            );
        when 'replication' then
            measured := jsonb_build_object(
                'is_replica', pg_is_in_recovery(),
                'replicas', (
                    select coalesce(jsonb_agg(jsonb_build_object(
                        'name', application_name, 'state', state, 'lag_bytes',
                        case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) end
                    ) order by application_name), '[]')
                    from pg_catalog.pg_stat_replication
                )
            );
        when 'slots' then
            measured := (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'name', slot_name, 'plugin', plugin, 'active', active, 'wal_status', wal_status,
                    'lag_bytes', pg_wal_lsn_diff(
                        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
                        coalesce(confirmed_flush_lsn, restart_lsn)
                    )
                ) order by slot_name), '[]')
                from pg_catalog.pg_replication_slots
            );
        when 'queue' then
            measured := jsonb_build_object(
                'pending', (select count(*) from public.jobs where jobs.status = 'pending'),
                'processing', (select count(*) from public.jobs where jobs.status = 'processing'),
                'stalled', private.health_part('stalled')
            );
        when 'stalled' then
            measured := (
                select to_jsonb(count(*)) from public.job_claims as claims
                where claims.ended_at is null and claims.lease_expires_at < clock_timestamp()
            );
        when 'event_log' then
            -- No committed row can be of a transaction that has not begun, unless the rows come from another cluster.
            measured := jsonb_build_object(
                'newest_id', (select max(events.id) from public.job_events as events),
                'from_the_future', exists (
                    select from public.job_events as events
                    where events.xid >= pg_snapshot_xmax(pg_current_snapshot())
                        and events.xid is distinct from pg_current_xact_id_if_assigned()
                )
            );
        when 'consumers' then
            -- Counted up to 10,000: further behind is far behind.
            measured := (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'name', consumers.name, 'unread', unread.events,
                    'lag_seconds', round(extract(epoch from clock_timestamp() - unread.oldest), 3)
                ) order by consumers.name), '[]')
                from public.event_consumers as consumers
                cross join lateral (
                    select count(*) as events, min(ahead.created_at) as oldest from (
                        select events.created_at from public.job_events as events
                        where (events.xid, events.id) > (consumers.position_xid, consumers.position_id)
                        order by events.xid, events.id limit 10000
                    ) as ahead
                ) as unread
            );
    end case;
    return measured;
exception
    when others then
        return null;
end;
$$;
comment on function private.health_part is 'One part of the database''s health, or null where it cannot be had.';
grant execute on function private.health_part to authenticated, service_role;

-- How the database is, in one call that never fails: what cannot be measured is null. `problems` names what an operator
-- should look at now. Bytes, seconds and milliseconds are told by the names.
create function public.database_health()
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    began timestamptz;
    latency_ms numeric;
    health jsonb;
begin
    perform private.require_service();
    began := clock_timestamp();
    perform private.setting('client_ip_header');
    latency_ms := round(extract(epoch from clock_timestamp() - began) * 1000, 3);
    select jsonb_object_agg(part, private.health_part(part)) into health
    from unnest(array[
        'connections', 'cache_hit_ratio', 'slow_queries', 'long_queries', 'oldest_transaction', 'transaction_ids', 'size',
        'dead_tuples', 'replication', 'slots', 'queue', 'event_log', 'consumers'
    ]) as part;
    return health || jsonb_build_object(
        'measured_at', clock_timestamp(),
        'latency_ms', latency_ms,
        'server_version', current_setting('server_version'),
        'problems', to_jsonb(array_remove(array[
            case when (health #>> '{connections,used}')::integer >= 0.9 * (health #>> '{connections,max}')::integer
                then 'connections_nearly_used_up' end,
            case when (health #>> '{transaction_ids,age}')::bigint > 2 * (health #>> '{transaction_ids,freeze_at}')::bigint
                then 'transaction_ids_not_frozen' end,
            case when (health #>> '{oldest_transaction,seconds}')::numeric > 3600 then 'transaction_open_for_an_hour' end,
            case when health @? '$.slots[*] ? (@.wal_status == "lost" || @.wal_status == "unreserved")'
                then 'slot_too_far_behind' end,
            case when health @? '$.consumers[*] ? (@.lag_seconds > 86400)' then 'consumer_behind_for_a_day' end,
            case when (health #>> '{event_log,from_the_future}')::boolean then 'event_log_from_another_cluster' end
        ], null))
    );
end;
$$;
comment on function public.database_health is 'How the database is, in one call that never fails. Backends only.';
grant execute on function public.database_health to authenticated, service_role;

-- For operators, after the database was restored from a dump into another cluster: transactions are numbered anew there, and
-- the order of the event logs is that of transactions. Gives all events and consumers the number 0, so that the ids are the
-- order and everything new comes after. A consumer goes on before the first event that it has not committed: it may
-- read some again, and misses none. Nobody has the right to it but the owner.
create function private.rebase_event_log()
returns void
language plpgsql
set search_path = ''
as $$
begin
    lock table public.job_events, public.event_consumers, public.system_events in share row exclusive mode;
    perform private.count_whole_log();
    update public.event_consumers as consumers set
        position_xid = '0',
        position_id = coalesce(
            (
                select min(events.id) - 1 from public.job_events as events
                where (events.xid, events.id) > (consumers.position_xid, consumers.position_id)
            ),
            (select max(events.id) from public.job_events as events),
            consumers.position_id
        );
    update public.job_events set xid = '0' where xid <> '0';
    update public.system_events set xid = '0' where xid <> '0';
end;
$$;
comment on function private.rebase_event_log is 'After a restore into another cluster: order the event log by id alone.';
