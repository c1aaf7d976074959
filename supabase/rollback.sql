-- Takes away everything that the migrations made, with all data, and nothing else:
--
--     psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f supabase/rollback.sql
--
-- One transaction: should an object that is not ours need one of ours (a view on jobs, a policy that calls
-- private.is_service), Postgres names it, and everything stays as it was. What a migration did not get to make
-- is skipped. Afterwards the migrations can be applied again.
--
-- What stays: the publication supabase_realtime, which every Supabase project has, and extensions. The default
-- privileges are those of Postgres again, and new functions executable by everyone; a Supabase project from before May
-- 2026 also granted new tables, sequences and functions in public to the API's roles. Where that is wanted:
--
--     alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
--     alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
--     alter default privileges in schema public grant execute on functions to anon, authenticated, service_role;

begin;

-- Drops what is in the schema private, as far as nothing else needs it. Called twice: policies and constraints of
-- the tables need helpers, and other helpers need the tables.
create procedure pg_temp.clear_private()
language plpgsql
as $$
declare
    statement text;
    dropped integer;
begin
    loop
        dropped := 0;
        foreach statement in array array(
            select format('drop %s if exists %s', replace(type, 'composite type', 'type'), identity)
            from (
                select tableoid, oid from pg_catalog.pg_proc where pronamespace = to_regnamespace('private')
                union all
                select tableoid, oid from pg_catalog.pg_class
                where relnamespace = to_regnamespace('private') and relkind in ('r', 'p', 'v', 'm', 'S', 'c')
                union all
                select tableoid, oid from pg_catalog.pg_type
                where typnamespace = to_regnamespace('private') and typtype in ('e', 'd')
            ) as ours, pg_catalog.pg_identify_object(tableoid, oid, 0)
        ) loop
            begin
                execute statement;
                dropped := dropped + 1;
            exception
                when dependent_objects_still_exist then
                    null;
            end;
        end loop;
        exit when dropped = 0;
    end loop;
end;
$$;

-- What pg_cron does for us, where it is.
do $$
begin
    if to_regclass('cron.job') is not null then
        perform cron.unschedule(jobid) from cron.job where jobname like 'reelbase%';
    end if;
end;
$$;

-- Functions, views and the types of what functions return. The newest domain first, as always from here.

drop function if exists public.create_video_job;
drop type if exists public.video_job;

drop function if exists public.read_job_events;

drop function if exists
    public.start_processing_step,
    public.update_step_progress,
    public.complete_processing_step,
    public.get_processing_timeline;

drop function if exists public.add_job_element, public.get_job_elements;

drop function if exists
    public.create_job,
    public.get_job,
    public.list_jobs,
    public.update_job_status,
    public.update_job_progress;
drop type if exists public.job_page;

-- Tables, with their indexes, policies and triggers, and their place in the publication.

call pg_temp.clear_private();

drop table if exists public.job_events;
drop table if exists public.processing_timeline;
drop table if exists public.elements;
drop table if exists public.job_transitions;
drop table if exists public.jobs;

-- What all stood on.

call pg_temp.clear_private();
drop schema if exists private;

drop type if exists
    public.job_status,
    public.element_type,
    public.fit_mode,
    public.processing_step,
    public.storage_operation,
    public.response_type;

alter default privileges grant execute on functions to public;

-- The Supabase CLI's and localbase's record of what has been applied.
do $$
begin
    if to_regclass('supabase_migrations.schema_migrations') is not null then
        delete from supabase_migrations.schema_migrations
        where version || '_' || name in (
            '20261120000100_foundations',
            '20261120000300_jobs',
            '20261120000400_elements',
            '20261120000500_processing_timeline',
            '20261120000900_job_events',
            '20261120001100_video_jobs'
        );
    end if;
end;
$$;

drop procedure pg_temp.clear_private;

commit;
