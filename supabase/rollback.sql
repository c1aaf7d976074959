-- Takes away everything that the migrations made, with all data, and nothing else:
--
--     psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f supabase/rollback.sql
--
-- One transaction: should an object that is not ours need one of ours (a view on jobs, a policy that calls
-- private.is_service), Postgres names it, and everything stays as it was. A table that only has the name of one of
-- ours stops it too. What a migration did not get to make is skipped. Afterwards the migrations can be applied again.
--
-- What stays: the publication supabase_realtime, which every Supabase project has, and extensions. The default
-- privileges are those of Postgres again, and new functions executable by everyone; a Supabase project from before May
-- 2026 also granted new tables, sequences and functions in public to the API's roles. Where that is wanted:
--
--     alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
--     alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
--     alter default privileges in schema public grant execute on functions to anon, authenticated, service_role;

begin;

do $$
begin
    if to_regnamespace('private') is null then
        raise exception 'There is nothing to roll back: the first migration makes the schema private.';
    end if;
end;
$$;

-- Drops what is in the schema private, as far as nothing else needs it. Called more than once: some helpers need views,
-- types and tables of ours, others are needed by the policies and constraints of these tables.
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

-- Drops a table of ours. In each of them something uses a helper in the schema private, or a job's status; a table
-- without that is somebody else's, and probably why the migration failed that is to be rolled back.
create procedure pg_temp.drop_table(name text)
language plpgsql
as $$
begin
    if to_regclass(name) is null then
        return;
    end if;
    if not exists (
        with parts as (
            select 'pg_class'::regclass as classid, to_regclass(name) as objid
            union all
            select classid, objid from pg_catalog.pg_depend
            where refclassid = 'pg_class'::regclass and refobjid = to_regclass(name)
        )
        select from parts join pg_catalog.pg_depend as used using (classid, objid)
        where refobjid in (
            select oid from pg_catalog.pg_proc where pronamespace = 'private'::regnamespace
            union all
            select to_regtype('public.job_status')
        )
    ) then
        raise exception 'The table % is not ours.', name using hint = 'Move it away, and begin anew.';
    end if;
    execute format('drop table %s', to_regclass(name));
end;
$$;

-- What pg_cron does for us, where it is.
do $$
begin
    if to_regclass('cron.job') is not null then
        perform cron.unschedule(jobid) from cron.job where jobname like 'reelbase\_%';
    end if;
end;
$$;

drop policy if exists "reelbase: who sees a job or is the user hears its topic" on realtime.messages;

-- What the API shows, the newest domain first, as always from here.

-- Transactions
drop function if exists public.run_batch;

-- Maintenance
drop function if exists
    public.database_health,
    public.verify_database_schema,
    public.enforce_data_retention,
    public.cleanup_old_metrics,
    public.cleanup_old_jobs;

-- Analytics: reports hold rows of views, and helpers return them.
drop function if exists
    public.get_system_stats,
    public.get_processing_metrics,
    public.get_job_statistics,
    public.refresh_job_statistics;
call pg_temp.clear_private();
drop type if exists
    public.system_stats,
    public.job_statistics,
    public.job_hour,
    public.statistics_refresh;
drop view if exists
    public.latest_metrics,
    public.worker_activity,
    public.element_processing,
    public.client_activity,
    public.error_summary,
    public.step_performance,
    public.storage_performance,
    public.hourly_throughput,
    public.daily_job_stats,
    public.queue_overview,
    public.active_jobs,
    public.job_status_realtime,
    public.job_summary;

-- Video jobs
drop function if exists
    public.get_job_with_details,
    public.create_jobs,
    public.create_video_job;

-- Job events
drop function if exists
    public.delete_event_dead_letter,
    public.list_event_dead_letters,
    public.dead_letter_event,
    public.delete_event_consumer,
    public.list_event_consumers,
    public.seek_event_consumer,
    public.release_event_consumer,
    public.commit_event_consumer,
    public.acquire_event_consumer,
    public.read_events,
    public.get_event_cursor,
    public.read_job_events;

-- Job queue
drop function if exists
    public.resume_queue,
    public.pause_queue,
    public.get_queue_state,
    public.resume_job,
    public.pause_job,
    public.rescue_stalled_jobs,
    public.release_job,
    public.fail_job,
    public.complete_job,
    public.heartbeat_jobs,
    public.claim_jobs;

-- System metrics
drop function if exists
    public.delete_metric_threshold,
    public.get_metric_thresholds,
    public.set_metric_threshold,
    public.get_latest_metrics,
    public.get_metric_series,
    public.record_metrics,
    public.record_metric,
    public.get_system_events,
    public.read_system_events,
    public.get_system_event_cursor;

-- URL access logs
drop function if exists
    public.get_url_accesses_by,
    public.get_url_access_statistics,
    public.get_url_accesses,
    public.log_url_accesses,
    public.log_url_access;

-- Storage operations
drop function if exists
    public.get_storage_performance,
    public.get_storage_usage_by_bucket,
    public.get_storage_statistics,
    public.get_failed_storage_operations,
    public.get_storage_operations,
    public.log_storage_operations,
    public.log_storage_operation;

-- Processing timeline
drop function if exists
    public.calculate_job_progress,
    public.get_processing_timeline,
    public.complete_processing_step,
    public.update_step_progress,
    public.start_processing_step;

-- Elements
drop function if exists
    public.delete_element,
    public.reorder_elements,
    public.update_element_status,
    public.list_elements,
    public.bulk_add_elements,
    public.get_job_elements,
    public.add_job_element;

-- Jobs
drop function if exists
    public.delete_job,
    public.retry_job,
    public.cancel_job,
    public.update_job_progress,
    public.update_job_status,
    public.list_jobs,
    public.get_job,
    public.create_job;

-- Security
drop function if exists
    public.check_rate_limit,
    public.get_security_events,
    public.log_security_event,
    public.can_subscribe_to_job,
    public.client_ip,
    public.is_admin,
    public.user_role;

-- What they return. Helpers return it too, and go first.

call pg_temp.clear_private();

drop type if exists
    public.job_details,
    public.video_job;
drop type if exists
    public.event_dead_letter_page,
    public.event_consumer,
    public.event_page;
drop type if exists
    public.queue_state,
    public.claim_state,
    public.claimed_job;
drop type if exists
    public.metric_bucket,
    public.system_event_log_page,
    public.system_event_page;
drop type if exists
    public.url_access_statistics,
    public.url_access_page;
drop type if exists
    public.storage_operation_performance,
    public.storage_bucket_usage,
    public.storage_operation_statistics,
    public.storage_operation_page;
drop type if exists public.element_page;
drop type if exists public.job_page;
drop type if exists
    public.rate_limit,
    public.security_event_page;

-- Tables, with their indexes, policies and triggers, and their place in the publication.

call pg_temp.drop_table('public.job_stats_hourly');
call pg_temp.drop_table('public.event_dead_letters');
call pg_temp.drop_table('public.event_consumers');
call pg_temp.drop_table('public.job_events');
call pg_temp.drop_table('public.job_claims');
call pg_temp.drop_table('public.metric_thresholds');
call pg_temp.drop_table('public.system_metrics');
call pg_temp.drop_table('public.system_events');
call pg_temp.drop_table('public.url_access_logs');
call pg_temp.drop_table('public.storage_operations');
call pg_temp.drop_table('public.processing_timeline');
call pg_temp.drop_table('public.elements');
call pg_temp.drop_table('public.job_transitions');
call pg_temp.drop_table('public.jobs');
call pg_temp.drop_table('public.security_events');

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

-- The record that the Supabase CLI and localbase keep: these numbers are ours.
do $$
begin
    if to_regclass('supabase_migrations.schema_migrations') is not null then
        delete from supabase_migrations.schema_migrations
        where version between '20261120000100' and '20261120009999';
    end if;
end;
$$;

drop procedure pg_temp.clear_private, pg_temp.drop_table;

commit;
