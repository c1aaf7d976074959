-- Who reads which rows of every table and view, and that nobody writes them: the matrix of docs/access.md, by the grants
-- and policies alone.

begin;

\ir helpers/actors.psql
\ir helpers/world.psql

-- What there is, and who reads it: `shows` is a query for whose rows are seen, and `readers` is a row of the table below.
create table tests.relations (
    relation text primary key,
    readers text not null,
    shows text not null
);

create table tests.readers (
    readers text not null,
    actor text not null,
    reads text not null,
    primary key (readers, actor)
);
insert into tests.readers (readers, actor, reads)
select readers, actor, reads
from (
    values
        -- Who sees a job.
        ('job', 'nothing', 'own', 'own', 'own', 'all', 'all', 'all'),
        -- The same where those without a user have no right.
        ('job, signed in', 'refused: 42501', 'refused: 42501', 'own', 'refused: 42501', 'all', 'all', 'all'),
        ('backends', 'refused: 42501', 'refused: 42501', 'nothing', 'refused: 42501', 'all', 'all', 'all'),
        -- The same through a function, which refuses.
        ('backends, aloud', 'refused: 42501', 'refused: 42501', 'refused: permission_denied', 'refused: 42501', 'all', 'all', 'all'),
        ('admins', 'refused: 42501', 'refused: 42501', 'nothing', 'refused: 42501', 'nothing', 'all', 'all'),
        ('everyone', 'all', 'all', 'all', 'all', 'all', 'all', 'all')
) as expected (readers, nobody, anonymous, user_, watcher, service_account, admin, service_key)
cross join lateral (
    values
        ('nobody', nobody), ('anonymous', anonymous), ('user', user_), ('watcher', watcher),
        ('service_account', service_account), ('admin', admin), ('service_key', service_key)
) as cell (actor, reads);

insert into tests.relations (relation, readers, shows)
select
    relation, readers,
    -- A column that names the job, or a query of its own: aggregates tell of nobody, so it asks for how many owners' rows.
    case when shows ~ '^\w+$' then format('select distinct tests.owner(%I) from public.%I', shows, relation) else shows end
from (
    values
        ('jobs', 'job', 'id'),
        ('elements', 'job', 'job_id'),
        ('processing_timeline', 'job', 'job_id'),
        ('storage_operations', 'job', 'job_id'),
        ('job_events', 'job', 'job_id'),
        ('job_summary', 'job', 'id'),
        ('job_status_realtime', 'job', 'id'),
        ('active_jobs', 'job', 'id'),
        ('error_summary', 'job, signed in', 'select sum(jobs) from public.error_summary'),
        ('queue_overview', 'job, signed in', 'select sum(waiting) from public.queue_overview'),
        ('client_activity', 'job, signed in', 'select sum(jobs)::integer / 3 from public.client_activity'),
        ('element_processing', 'job, signed in', 'select sum(elements)::integer / 2 from public.element_processing'),
        ('step_performance', 'job, signed in', 'select sum(completed) from public.step_performance'),
        ('storage_performance', 'job, signed in', 'select sum(operations) from public.storage_performance'),
        ('url_access_logs', 'backends', 'job_id'),
        ('job_claims', 'backends', 'job_id'),
        ('system_metrics', 'backends', 'select 5 from public.system_metrics where metric = ''load'''),
        ('event_consumers', 'backends', 'select 5 from public.event_consumers where name = ''listener'''),
        ('event_dead_letters', 'backends', 'select 5 from public.event_dead_letters where consumer = ''listener'''),
        ('metric_thresholds', 'backends', 'select 5 from public.metric_thresholds where metric = ''load'''),
        ('system_events', 'backends', 'select distinct 5 from public.system_events'),
        ('job_stats_hourly', 'backends', 'select distinct 5 from public.job_stats_hourly'),
        ('daily_job_stats', 'backends', 'select distinct 5 from public.daily_job_stats'),
        ('hourly_throughput', 'backends', 'select distinct 5 from public.hourly_throughput'),
        ('worker_activity', 'backends', 'select running from public.worker_activity where worker = ''worker'''),
        ('latest_metrics', 'backends, aloud', 'select 5 from public.latest_metrics where metric = ''load'''),
        ('security_events', 'admins', 'select distinct 5 from public.security_events'),
        ('job_transitions', 'everyone', 'select distinct 5 from public.job_transitions')
) as listed (relation, readers, shows);

-- How each would be written, in the way that asks for the least.
create table tests.writes (
    relation text not null,
    verb text not null,
    statement text not null,
    primary key (relation, verb)
);
insert into tests.writes (relation, verb, statement)
select relation, verb, case verb
    when 'insert' then format('insert into public.%I default values', relation)
    when 'update' then format('update public.%1$I set %2$I = %2$I', relation, (
        select attname from pg_catalog.pg_attribute
        where attrelid = ('public.' || relation)::regclass and attnum > 0 and attgenerated = '' and attidentity = ''
        order by attnum limit 1
    ))
    when 'delete' then format('delete from public.%I', relation)
    else format('truncate public.%I cascade', relation)
end
from tests.relations, unnest(array['insert', 'update', 'delete', 'truncate']) as verb
where verb <> 'truncate' or relation in (select tablename from pg_catalog.pg_tables where schemaname = 'public');

select plan((
    select (1 + 7 * (count(*) + (select count(*) from tests.writes)))::integer from tests.relations
));

select set_eq(
    $$select relation from tests.relations$$,
    $$select relname::text from pg_catalog.pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')$$,
    'every table and view is in this matrix'
);
-- Reading: the owners' names, or where rows tell of nobody, the number 5 for all of them and 1 for one.
select is(
    tests.seen(actor, shows),
    case
        when reads not in ('own', 'all', 'nothing') then reads
        when reads = 'nothing' then ''
        when shows ~ 'tests\.owner' then case
            when reads = 'all' then 'address, other address, other user, user, watched'
            else tests.owner(job)
        end
        when reads = 'all' then '5'
        else '1'
    end,
    format('%s, select: %s', relation, actor)
)
from tests.relations join tests.readers using (readers) join tests.actors using (actor)
order by relation, actors.place;

-- Writing: refused to all. A view that cannot be written at all says so before it asks who is writing.
select matches(
    tests.attempt(actor, statement),
    '^refused: (42501|55000)$',
    format('%s, %s: %s', relation, verb, actor)
)
from tests.writes cross join tests.actors
order by relation, verb, place;

select * from finish();
rollback;
