-- Who reads and writes which rows of every table and view: the matrix of docs/access.md, by the grants and policies alone.

begin;

\ir helpers/actors.psql
\ir helpers/world.psql

-- What there is, and who reads it: `shows` is a query for whose rows are seen, and `readers` is a row of the table below.
-- Who writes is as on the page: `owners` in their own jobs, `backends` everywhere.
create table tests.relations (
    relation text primary key,
    readers text not null,
    shows text not null,
    insert text not null default '',
    update text not null default '',
    delete text not null default ''
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

insert into tests.relations (relation, readers, shows, insert, update, delete)
select
    relation, readers,
    -- A column that names the job, or a query of its own: aggregates tell of nobody, so it asks for how many owners' rows.
    case when shows ~ '^\w+$' then format('select distinct tests.owner(%I) from public.%I', shows, relation) else shows end,
    insert, update, delete
from (
    values
        ('jobs', 'job', 'id', '', 'backends', ''),
        ('elements', 'job', 'job_id', 'owners, backends', 'backends', ''),
        ('processing_timeline', 'job', 'job_id', 'owners, backends', 'backends', ''),
        ('storage_operations', 'job', 'job_id', 'backends', '', ''),
        ('job_events', 'job', 'job_id', '', '', ''),
        ('job_summary', 'job', 'id', '', '', ''),
        ('job_status_realtime', 'job', 'id', '', '', ''),
        ('active_jobs', 'job', 'id', '', '', ''),
        ('error_summary', 'job, signed in', 'select sum(jobs) from public.error_summary', '', '', ''),
        ('queue_overview', 'job, signed in', 'select sum(waiting) from public.queue_overview', '', '', ''),
        ('client_activity', 'job, signed in', 'select sum(jobs)::integer / 3 from public.client_activity', '', '', ''),
        ('element_processing', 'job, signed in', 'select sum(elements)::integer / 2 from public.element_processing', '', '', ''),
        ('step_performance', 'job, signed in', 'select sum(completed) from public.step_performance', '', '', ''),
        ('storage_performance', 'job, signed in', 'select sum(operations) from public.storage_performance', '', '', ''),
        ('url_access_logs', 'backends', 'job_id', 'backends', '', ''),
        ('job_claims', 'backends', 'job_id', '', '', ''),
        ('system_metrics', 'backends', 'select 5 from public.system_metrics where metric = ''load''', 'backends', '', ''),
        ('event_consumers', 'backends', 'select 5 from public.event_consumers where name = ''listener''', 'backends', 'backends', 'backends'),
        ('metric_thresholds', 'backends', 'select 5 from public.metric_thresholds where metric = ''load''', '', '', ''),
        ('system_events', 'backends', 'select distinct 5 from public.system_events', '', '', ''),
        ('job_stats_hourly', 'backends', 'select distinct 5 from public.job_stats_hourly', '', '', ''),
        ('daily_job_stats', 'backends', 'select distinct 5 from public.daily_job_stats', '', '', ''),
        ('hourly_throughput', 'backends', 'select distinct 5 from public.hourly_throughput', '', '', ''),
        ('worker_activity', 'backends', 'select running from public.worker_activity where worker = ''worker''', '', '', ''),
        ('latest_metrics', 'backends, aloud', 'select 5 from public.latest_metrics where metric = ''load''', '', '', ''),
        ('security_events', 'admins', 'select distinct 5 from public.security_events', '', '', ''),
        ('job_transitions', 'everyone', 'select distinct 5 from public.job_transitions', '', '', '')
) as listed (relation, readers, shows, insert, update, delete);

-- How each is written where somebody may; else in the way that asks for the least.
create table tests.writes (
    relation text not null,
    verb text not null,
    statement text not null,
    primary key (relation, verb)
);
insert into tests.writes (relation, verb, statement) values
    ('jobs', 'update', 'update public.jobs set priority = 1 where id = tests.job()'),
    (
        'elements', 'insert',
        $$insert into public.elements (job_id, type, text_content, element_order) values (tests.job(), 'text', 'More', 9)$$
    ),
    ('elements', 'update', $$update public.elements set local_path = '/tmp/a' where job_id = tests.job()$$),
    (
        'processing_timeline', 'insert',
        $$insert into public.processing_timeline (job_id, step, step_order) values (tests.job(), 'validation', 0)$$
    ),
    (
        'processing_timeline', 'update',
        $$update public.processing_timeline set details = '{"frames": 1}' where id = tests.of(tests.job(), 'c')$$
    ),
    (
        'storage_operations', 'insert',
        $$insert into public.storage_operations (job_id, operation, bucket, key) values (tests.job(), 'upload', 'a', 'b')$$
    ),
    ('url_access_logs', 'insert', $$insert into public.url_access_logs (job_id, url) values (tests.job(), 'a')$$),
    ('system_metrics', 'insert', $$insert into public.system_metrics (metric, value) values ('load', 1)$$),
    (
        'event_consumers', 'insert',
        $$insert into public.event_consumers (name, position_xid, position_id) values ('another', '0', 0)$$
    ),
    ('event_consumers', 'update', 'update public.event_consumers set position_id = 1'),
    ('event_consumers', 'delete', 'delete from public.event_consumers');
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
where verb <> 'truncate' or relation in (select tablename from pg_catalog.pg_tables where schemaname = 'public')
on conflict do nothing;

select plan((
    select (1 + 7 * (count(*) + (select count(*) from tests.writes)) + 7 * 2)::integer from tests.relations
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

-- Writing: done where the page says so, else refused, or no row was there to be changed. A view that cannot be written at
-- all says so before it asks who is writing.
select matches(
    tests.attempt(actor, statement),
    case
        when actor in ('service_account', 'admin', 'service_key') and who ~ 'backends' then '^rows: [1-9]'
        when actor in ('anonymous', 'user') and who ~ 'owners' then '^rows: 1$'
        else '^(refused: (42501|55000)|rows: 0)$'
    end,
    format('%s, %s: %s', relation, verb, actor)
)
from tests.writes
join tests.relations using (relation)
cross join lateral (
    values (case verb when 'insert' then insert when 'update' then update when 'delete' then delete else '' end)
) as rights (who)
cross join tests.actors
order by relation, verb, place;

-- Owners write in their own jobs only.
select is(
    tests.attempt(actor, replace(statement, 'tests.job()', 'tests.other_job()')),
    case when actor in ('service_account', 'admin', 'service_key') then 'rows: 1' else 'refused: 42501' end,
    format('%s, insert into another''s job: %s', relation, actor)
)
from tests.writes cross join tests.actors
where verb = 'insert' and relation in ('elements', 'processing_timeline')
order by relation, place;

select * from finish();
rollback;
