-- Who may call every public function: the matrix of docs/access.md, by the right to execute and by what a call answers.

begin;

\ir helpers/actors.psql
\ir helpers/world.psql

-- What there is, and a call of it on a job that is the caller's own, if it has one: `callers` is a row of the table below.
create table tests.functions (
    function text primary key,
    callers text not null,
    call text not null
);
insert into tests.functions (function, callers, call) values
    ('user_role', 'everyone', ''),
    ('is_admin', 'everyone', ''),
    ('client_ip', 'everyone', ''),
    ('can_subscribe_to_job', 'everyone', 'tests.job()'),
    ('get_event_cursor', 'everyone', ''),
    ('run_batch', 'everyone', $$'[{"function": "user_role"}]'$$),
    ('list_jobs', 'everyone', ''),
    ('list_elements', 'everyone', ''),
    ('read_events', 'everyone', ''),
    ('get_job', 'who sees the job', 'tests.job()'),
    ('get_job_with_details', 'who sees the job', 'tests.job()'),
    ('get_job_elements', 'who sees the job', 'tests.job()'),
    ('get_processing_timeline', 'who sees the job', 'tests.job()'),
    ('get_storage_operations', 'who sees the job', 'tests.job()'),
    ('read_job_events', 'who sees the job', 'tests.job()'),
    ('calculate_job_progress', 'who sees the job', 'tests.job()'),
    ('create_job', 'who has a name', $$'mp4', 64, 64$$),
    ('create_jobs', 'who has a name', $$'[{"output_format": "mp4", "width": 64, "height": 64}]'$$),
    ('create_video_job', 'who has a name', $$'mp4', 64, 64, '[{"type": "text", "text_content": "Hello"}]'$$),
    ('add_job_element', 'owners', $$tests.job(), 'text', text_content => 'More'$$),
    ('bulk_add_elements', 'owners', $$tests.job(), '[{"type": "text", "text_content": "More"}]'$$),
    ('reorder_elements', 'owners', $$tests.job(), array[tests.of(tests.job(), 'd'), tests.of(tests.job(), 'b')]$$),
    ('delete_element', 'owners', $$tests.of(tests.job(), 'b')$$),
    ('cancel_job', 'owners', 'tests.job()'),
    ('update_job_status', 'backends', $$tests.job(), 'processing'$$),
    ('update_job_progress', 'backends', $$tests.of(tests.job(), '9'), 50, claim => tests.claim(tests.job())$$),
    ('update_element_status', 'backends', $$tests.of(tests.job(), 'b'), local_path => '/tmp/a'$$),
    ('start_processing_step', 'backends', $$tests.job(), 'upload'$$),
    ('update_step_progress', 'backends', $$tests.of(tests.job(), 'c'), 50$$),
    ('complete_processing_step', 'backends', $$tests.of(tests.job(), 'c')$$),
    ('retry_job', 'backends', $$tests.of(tests.job(), 'a')$$),
    ('pause_job', 'backends', 'tests.job()'),
    ('resume_job', 'backends', 'tests.job()'),
    ('delete_job', 'backends', $$tests.of(tests.job(), 'a')$$),
    ('heartbeat_jobs', 'backends', 'array[tests.claim(tests.job())]'),
    ('complete_job', 'backends', $$tests.of(tests.job(), '9'), tests.claim(tests.job())$$),
    ('fail_job', 'backends', $$tests.of(tests.job(), '9'), tests.claim(tests.job()), 'broken', 'Broken.'$$),
    ('release_job', 'backends', $$tests.of(tests.job(), '9'), tests.claim(tests.job())$$),
    ('claim_jobs', 'backends', $$'worker'$$),
    ('rescue_stalled_jobs', 'backends', ''),
    ('get_queue_state', 'backends', ''),
    ('log_storage_operation', 'backends', $$'upload', 'videos', 'b.mp4', tests.job()$$),
    ('log_storage_operations', 'backends', $$'[{"operation": "upload", "bucket": "videos", "key": "b.mp4"}]'$$),
    ('log_url_access', 'backends', $$tests.job(), 'https://example.com/'$$),
    (
        'log_url_accesses', 'backends',
        $$jsonb_build_array(jsonb_build_object('job_id', tests.job(), 'url', 'https://example.com/'))$$
    ),
    ('get_failed_storage_operations', 'backends', ''),
    ('get_storage_statistics', 'backends', ''),
    ('get_storage_usage_by_bucket', 'backends', ''),
    ('get_storage_performance', 'backends', ''),
    ('get_url_accesses', 'backends', ''),
    ('get_url_accesses_by', 'backends', $$'day'$$),
    ('get_url_access_statistics', 'backends', ''),
    ('record_metric', 'backends', $$'load', 1$$),
    ('record_metrics', 'backends', $$'[{"metric": "load", "value": 1}]'$$),
    ('get_metric_series', 'backends', $$'load'$$),
    ('get_latest_metrics', 'backends', ''),
    ('get_metric_thresholds', 'backends', ''),
    ('set_metric_threshold', 'backends', $$'load', 1$$),
    ('delete_metric_threshold', 'backends', $$'load'$$),
    ('get_system_events', 'backends', ''),
    ('read_system_events', 'backends', ''),
    ('get_system_event_cursor', 'backends', ''),
    ('acquire_event_consumer', 'backends', $$'another', 'instance'$$),
    ('commit_event_consumer', 'backends', $$'listener', 1$$),
    ('release_event_consumer', 'backends', $$'listener', 1$$),
    ('seek_event_consumer', 'backends', $$'listener'$$),
    ('delete_event_consumer', 'backends', $$'listener'$$),
    ('list_event_consumers', 'backends', ''),
    ('dead_letter_event', 'backends', $$'listener', 1, (select min(id) from public.job_events), 1, 'broken'$$),
    ('list_event_dead_letters', 'backends', ''),
    ('delete_event_dead_letter', 'backends', $$'listener', 0$$),
    ('get_job_statistics', 'backends', ''),
    ('get_processing_metrics', 'backends', ''),
    ('get_system_stats', 'backends', ''),
    ('refresh_job_statistics', 'backends', ''),
    ('database_health', 'backends', ''),
    ('verify_database_schema', 'backends', ''),
    ('check_rate_limit', 'backends', $$'a', 1, '1 hour'$$),
    ('log_security_event', 'backends', $$'unauthorized_access'$$),
    ('pause_queue', 'admins', ''),
    ('resume_queue', 'admins', ''),
    ('cleanup_old_jobs', 'admins', ''),
    ('cleanup_old_metrics', 'admins', ''),
    ('enforce_data_retention', 'admins', ''),
    ('get_security_events', 'admins', '');

-- What a call answers: refused for a cause, or rows, as a pattern. Elements that a watch token's holder adds are refused by a
-- policy, not by the function.
create table tests.callers (
    callers text not null,
    actor text not null,
    answer text not null,
    primary key (callers, actor)
);
insert into tests.callers (callers, actor, answer)
select callers, actor, case when answer = 'rows' then '^rows: ' else format('^refused: (%s)$', answer) end
from (
    values
        ('everyone', 'rows', 'rows', 'rows', 'rows', 'rows', 'rows', 'rows'),
        ('who sees the job', 'not_found', 'rows', 'rows', 'rows', 'rows', 'rows', 'rows'),
        (
            'who has a name', 'permission_denied|client_unknown', 'rows', 'rows', 'permission_denied',
            'rows', 'rows', 'rows'
        ),
        ('owners', 'not_found', 'rows', 'rows', 'permission_denied|42501', 'rows', 'rows', 'rows'),
        ('backends', '42501', '42501', 'permission_denied', '42501', 'rows', 'rows', 'rows'),
        ('admins', '42501', '42501', 'permission_denied', '42501', 'permission_denied', 'rows', 'rows')
) as expected (callers, nobody, anonymous, user_, watcher, service_account, admin, service_key)
cross join lateral (
    values
        ('nobody', nobody), ('anonymous', anonymous), ('user', user_), ('watcher', watcher),
        ('service_account', service_account), ('admin', admin), ('service_key', service_key)
) as cell (actor, answer);

select plan((
    select (
        1 + 3 * count(*) + 7 * count(*) + 4 * count(*) filter (where callers in ('who sees the job', 'owners')) + 7 + 7
    )::integer
    from tests.functions
));

select set_eq(
    'select function from tests.functions',
    $$select proname::text from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace$$,
    'every public function is in this matrix'
);

select is(
    has_function_privilege(role, pg_proc.oid, 'execute'),
    role <> 'anon' or callers not in ('backends', 'admins'),
    format('%s, execute: %s', function, role)
)
from tests.functions
join pg_catalog.pg_proc on proname = function and pronamespace = 'public'::regnamespace
cross join unnest(array['anon', 'authenticated', 'service_role']) as role
order by function, role;

select matches(
    tests.attempt(actor, format('select public.%I(%s)', function, call)),
    answer,
    format('%s: %s', function, actor)
)
from tests.functions join tests.callers using (callers) join tests.actors using (actor)
order by function, place;

-- A job that is hidden answers like one that does not exist.
select is(
    tests.attempt(actor, format('select public.%I(%s)', function, replace(call, 'tests.job()', 'tests.other_job()'))),
    'refused: not_found',
    format('%s, another''s job: %s', function, actor)
)
from tests.functions cross join tests.actors
where callers in ('who sees the job', 'owners') and actor in ('nobody', 'anonymous', 'user', 'watcher')
order by function, place;
select is(
    tests.seen(actor, 'select public.can_subscribe_to_job(tests.other_job())'),
    case when actor in ('service_account', 'admin', 'service_key') then 'true' else 'false' end,
    format('can_subscribe_to_job, another''s job: %s', actor)
)
from tests.actors order by place;

-- The one right within a function.
select matches(
    tests.attempt(actor, 'select public.delete_job(tests.job(), force => true)'),
    answer,
    format('delete_job, with force: %s', actor)
)
from tests.callers join tests.actors using (actor) where callers = 'admins' order by place;

select * from finish();
rollback;
