-- Transactions: many calls in one request and one transaction, later ones using results of earlier ones.

-- The functions that run_batch runs; no others, whatever the caller's rights. A name that the database does not
-- have is refused when it is called. Not here: run_batch itself; the cursors and leases of event consumers;
-- maintenance, which works in batches of its own; check_rate_limit, whose count a refused batch would take back.
create table private.batch_functions (
    function text primary key
);
alter table private.batch_functions enable row level security;
create policy "Everyone may look up a function" on private.batch_functions
    for select to anon, authenticated, service_role using (true);
grant select on private.batch_functions to anon, authenticated, service_role;
comment on table private.batch_functions is 'The functions of the API that run_batch runs.';

insert into private.batch_functions (function) values
    ('create_job'), ('create_jobs'), ('create_video_job'),
    ('get_job'), ('get_job_with_details'), ('list_jobs'), ('calculate_job_progress'),
    ('update_job_status'), ('update_job_progress'), ('cancel_job'), ('retry_job'), ('delete_job'),
    ('add_job_element'), ('bulk_add_elements'), ('get_job_elements'), ('list_elements'),
    ('update_element_status'), ('reorder_elements'), ('delete_element'),
    ('start_processing_step'), ('update_step_progress'), ('complete_processing_step'), ('get_processing_timeline'),
    ('log_storage_operation'), ('log_storage_operations'), ('get_storage_operations'), ('get_storage_statistics'),
    ('get_storage_usage_by_bucket'), ('get_failed_storage_operations'), ('get_storage_performance'),
    ('log_url_access'), ('log_url_accesses'), ('get_url_accesses'), ('get_url_accesses_by'), ('get_url_access_statistics'),
    ('record_metric'), ('record_metrics'), ('get_metric_series'), ('get_latest_metrics'), ('get_system_events'),
    ('read_system_events'), ('get_system_event_cursor'),
    ('get_metric_thresholds'), ('set_metric_threshold'), ('delete_metric_threshold'),
    ('read_job_events'), ('read_events'), ('get_event_cursor'), ('list_event_consumers'),
    ('list_event_dead_letters'), ('delete_event_dead_letter'),
    ('claim_jobs'), ('heartbeat_jobs'), ('complete_job'), ('fail_job'), ('release_job'), ('pause_job'), ('resume_job'),
    ('get_queue_state'), ('pause_queue'), ('resume_queue'),
    ('get_job_statistics'), ('get_system_stats'), ('get_processing_metrics'),
    ('user_role'), ('is_admin'), ('client_ip'), ('can_subscribe_to_job'), ('log_security_event'), ('get_security_events');

-- References --------------------------------------------------------------------------------

-- The one key of an object that stands for something else: "$ref" for a reference, and for an object that would
-- look like one the same with another dollar sign in front. Null for every other value.
create function private.reference_key(value jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    select min(key)
    from jsonb_object_keys(case jsonb_typeof(value) when 'object' then value else '{}' end) as key
    having count(*) = 1 and min(key) ~ '^\$+ref$';
$$;
comment on function private.reference_key is 'The key that makes an object a reference, or one escaped.';
grant execute on function private.reference_key to anon, authenticated, service_role;

-- Every reference in a value, with its place: calls[1].arguments.elements[0].metadata.job.
create function private.batch_references(value jsonb, place text)
returns table (argument text, reference jsonb)
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- Most values hold none, and looking at the text is much the fastest way to know.
    if value::text not like '%$ref":%' then
        return;
    elsif private.reference_key(value) = '$ref' then
        argument := place;
        reference := value -> '$ref';
        return next;
    elsif jsonb_typeof(value) = 'object' then
        return query
            select inside.argument, inside.reference
            from jsonb_each(batch_references.value) as item (key, value),
                private.batch_references(item.value, format('%s.%s', place, left(item.key, 100))) as inside;
    elsif jsonb_typeof(value) = 'array' then
        return query
            select inside.argument, inside.reference
            from jsonb_array_elements(batch_references.value) with ordinality as item (value, number),
                private.batch_references(item.value, format('%s[%s]', place, item.number - 1)) as inside;
    end if;
end;
$$;
comment on function private.batch_references is 'Every reference in a value, with its place.';
grant execute on function private.batch_references to anon, authenticated, service_role;

-- What a well-formed reference stands for: the number of a call, then names and numbers into its result.
-- SQL null when there is no such place; JSON null where the result says so.
create function private.referred_value(reference text, results jsonb[])
returns jsonb
language sql
immutable
set search_path = ''
as $$
    select results[split_part(reference, '.', 1)::integer + 1] #> (string_to_array(reference, '.'))[2:];
$$;
comment on function private.referred_value is 'What a reference stands for, or null when there is no such place.';
grant execute on function private.referred_value to anon, authenticated, service_role;

-- A value with its references replaced, and with one dollar sign less where a reference was escaped.
create function private.with_references(value jsonb, results jsonb[])
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
declare
    key text;
begin
    if value::text not like '%$ref":%' then
        return value;
    end if;
    key := private.reference_key(value);
    if key = '$ref' then
        return private.referred_value(value ->> key, results);
    elsif key is not null then
        return jsonb_build_object(substr(key, 2), private.with_references(value -> key, results));
    elsif jsonb_typeof(value) = 'object' then
        return (
            select jsonb_object_agg(item.key, private.with_references(item.value, results))
            from jsonb_each(with_references.value) as item (key, value)
        );
    elsif jsonb_typeof(value) = 'array' then
        return (
            select jsonb_agg(private.with_references(item.value, results) order by item.number)
            from jsonb_array_elements(with_references.value) with ordinality as item (value, number)
        );
    end if;
    return value;
end;
$$;
comment on function private.with_references is 'A value with its references replaced.';
grant execute on function private.with_references to anon, authenticated, service_role;

-- Calls -------------------------------------------------------------------------------------

-- The arguments that a function takes, in order.
create function private.parameters(function oid)
returns table (name text, type oid, required boolean)
language sql
stable
set search_path = ''
as $$
    select parameter.name, parameter.type, row_number() over (order by parameter.place) <= pronargs - pronargdefaults
    from pg_catalog.pg_proc,
        unnest(
            proargnames,
            coalesce(proallargtypes, proargtypes::oid[]),
            coalesce(proargmodes::text[], array_fill('i'::text, array[pronargs::integer]))
        ) with ordinality as parameter (name, type, mode, place)
    where pg_proc.oid = parameters.function and parameter.mode in ('i', 'b', 'v')
    order by parameter.place;
$$;
comment on function private.parameters is 'The arguments that a function takes, in order.';
grant execute on function private.parameters to anon, authenticated, service_role;

-- The given arguments of a function as the columns of json_to_record: names and types. Null when none are given.
create function private.argument_columns(function oid, arguments jsonb)
returns text
language sql
stable
set search_path = ''
as $$
    select string_agg(format('%I %s', name, format_type(type, null)), ', ')
    from private.parameters(argument_columns.function)
    where arguments ? name;
$$;
comment on function private.argument_columns is 'The given arguments of a function as columns of a record.';
grant execute on function private.argument_columns to anon, authenticated, service_role;

-- Arguments that are not of their parameter's type, as [{argument, problem}, …]. They are converted as the Data API
-- converts them; one by one only when not all of them can be.
create function private.argument_problems(function oid, arguments jsonb, prefix text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    columns text := private.argument_columns(function, arguments);
    parameter record;
    problems jsonb := jsonb_build_array();
begin
    if columns is not null then
        execute format('select from jsonb_to_record($1) as given (%s)', columns) using arguments;
    end if;
    return problems;
exception
    when data_exception then
        for parameter in
            select name, type from private.parameters(argument_problems.function) where arguments ? name
        loop
            begin
                execute format(
                    'select from jsonb_to_record($1) as given (%I %s)',
                    parameter.name, format_type(parameter.type, null)
                ) using arguments;
            exception
                when data_exception then
                    problems := problems || jsonb_build_object(
                        'argument', prefix || parameter.name, 'problem', private.type_words(parameter.type)
                    );
            end;
        end loop;
        return problems;
end;
$$;
comment on function private.argument_problems is 'Arguments that are not of their parameter''s type.';
grant execute on function private.argument_problems to anon, authenticated, service_role;

-- The function that a call names, or what is wrong with the name.
create function private.batch_function(given jsonb, out function oid, out problem text)
language plpgsql
stable
set search_path = ''
as $$
declare
    name text := given #>> '{}';
    found_here oid[];
begin
    if jsonb_typeof(given) is distinct from 'string' then
        problem := case when given is null then 'is required' else 'must be the name of a function' end;
        return;
    elsif not exists (select from private.batch_functions as allowed where allowed.function = name) then
        problem := format('must be a function that a batch can run, not "%s"', left(name, 63));
        return;
    end if;
    found_here := array(
        select pg_proc.oid from pg_catalog.pg_proc
        where proname = name and pronamespace = 'public'::regnamespace and prokind = 'f'
    );
    if cardinality(found_here) = 0 then
        problem := format('must be a function of this database, which has no %s', name);
    elsif cardinality(found_here) > 1 then
        problem := format('must name one function; there are %s of the name %s', cardinality(found_here), name);
    else
        function := found_here[1];
    end if;
end;
$$;
comment on function private.batch_function is 'The function that a call names, or what is wrong with the name.';
grant execute on function private.batch_function to anon, authenticated, service_role;

-- What can be known to be wrong with a call before anything has run, as [{argument, problem}, …].
create function private.call_problems(given jsonb, place integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    path text := format('calls[%s]', place);
    prefix text := format('calls[%s].arguments.', place);
    arguments jsonb := coalesce(given -> 'arguments', '{}');
    named record;
    problems jsonb;
begin
    if jsonb_typeof(given) <> 'object' then
        return jsonb_build_array(jsonb_build_object(
            'argument', path, 'problem', 'must be a JSON object with function and arguments'
        ));
    end if;
    select coalesce(jsonb_agg(jsonb_build_object(
        'argument', path || '.' || left(name, 100), 'problem', 'is not known here'
    )), '[]')
    into problems
    from jsonb_object_keys(given) as name where name not in ('function', 'arguments');
    named := private.batch_function(given -> 'function');
    if named.problem is not null then
        problems := problems || jsonb_build_object('argument', path || '.function', 'problem', named.problem);
    end if;
    if jsonb_typeof(arguments) <> 'object' then
        return problems || jsonb_build_object('argument', path || '.arguments', 'problem', 'must be a JSON object');
    elsif jsonb_path_exists(arguments, 'lax $.**{65}') then
        return problems || jsonb_build_object(
            'argument', path || '.arguments', 'problem', 'must be at most 64 levels deep'
        );
    elsif named.function is null then
        return problems;
    end if;
    return problems || (
        with refers as (
            select item.key, inside.argument, inside.reference,
                jsonb_typeof(inside.reference) = 'string'
                    and inside.reference #>> '{}' ~ '^(0|[1-9]\d{0,8})(\.[^.]+)*$' as well_formed
            from jsonb_each(arguments) as item (key, value),
                private.batch_references(item.value, prefix || left(item.key, 100)) as inside
        ),
        problem (argument, words) as (
            select prefix || name, 'is required'
            from private.parameters(named.function) where required and not arguments ? name
            union all
            select prefix || left(name, 100), 'is no argument of ' || (given ->> 'function')
            from jsonb_object_keys(arguments) as name
            where name not in (select known.name from private.parameters(named.function) as known)
            union all
            select argument, case
                when well_formed then 'must refer to an earlier call, not to ' || left(reference #>> '{}', 100)
                else format(
                    'must refer to an earlier call as in 0.id (a literal $ref is written %sref)', repeat('$', 2)
                )
            end
            from refers
            where case
                when well_formed then split_part(reference #>> '{}', '.', 1)::integer >= call_problems.place
                else true
            end
        )
        select coalesce(jsonb_agg(jsonb_build_object('argument', argument, 'problem', words)), '[]')
            || private.argument_problems(named.function, arguments - array(select key from refers), prefix)
        from problem
    );
end;
$$;
comment on function private.call_problems is 'What can be known to be wrong with a call before anything runs.';
grant execute on function private.call_problems to anon, authenticated, service_role;

-- A call's arguments with the results of earlier calls in the place of references; refused when a result has no such
-- place, when the arguments grow beyond all measure, and when what came is of the wrong type.
create function private.resolved_arguments(function oid, arguments jsonb, results jsonb[], place integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    path text := format('calls[%s].arguments', place);
    resolved jsonb;
    problems jsonb;
    size bigint;
begin
    if arguments::text not like '%$ref":%' then
        return arguments;
    end if;
    with refers as (
        select inside.argument, inside.reference #>> '{}' as reference
        from jsonb_each(arguments) as item (key, value),
            private.batch_references(item.value, path || '.' || item.key) as inside
    ),
    referred as (
        select reference, pg_column_size(private.referred_value(reference, results)) as size
        from refers group by reference
    )
    select
        coalesce(jsonb_agg(jsonb_build_object(
            'argument', argument, 'problem', format('refers to %s, which is no part of that result', left(reference, 100))
        )) filter (where referred.size is null), '[]'),
        sum(referred.size)
    into problems, size
    from refers join referred using (reference);
    if problems = '[]' and size > 1048576 then
        problems := jsonb_build_array(jsonb_build_object(
            'argument', path, 'problem', 'must not refer to more than 1 MiB of results'
        ));
    end if;
    if problems = '[]' then
        select jsonb_object_agg(item.key, private.with_references(item.value, results)) into resolved
        from jsonb_each(arguments) as item (key, value);
        problems := private.argument_problems(function, resolved, path || '.');
    end if;
    if problems <> '[]' then
        perform private.refuse_arguments(jsonb_path_query_array(problems, '$[0 to 99]'));
    end if;
    return resolved;
end;
$$;
comment on function private.resolved_arguments is 'A call''s arguments with references replaced and types checked.';
grant execute on function private.resolved_arguments to anon, authenticated, service_role;

-- Run one function with the caller's rights and give its result as the Data API would: an array of a set, an object
-- of a row, null of nothing. Dynamic SQL, whose names come from the catalog and whose values are parameters.
create function private.run_call(function oid, arguments jsonb)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
    routine record;
    answer jsonb;
begin
    select
        proname as name,
        proretset as is_set,
        case
            when prorettype = 'void'::regtype then 'null::jsonb'
            when typtype = 'c' or prorettype = 'record'::regtype or proargmodes::text[] && '{o,b,t}' then 'answer'
            else 'answer.result'
        end as expression
    into strict routine
    from pg_catalog.pg_proc join pg_catalog.pg_type on pg_type.oid = prorettype
    where pg_proc.oid = run_call.function;
    execute format(
        'select coalesce(jsonb_agg(%s), ''[]'') from (select result.* from %spublic.%I(%s) as result) as answer',
        routine.expression,
        'jsonb_to_record($1) as given (' || private.argument_columns(function, arguments) || '), ',
        routine.name,
        (
            select string_agg(format('%I => given.%I', name, name), ', ')
            from private.parameters(run_call.function) where arguments ? name
        )
    ) into answer using arguments;
    return case when routine.is_set then answer else answer -> 0 end;
end;
$$;
comment on function private.run_call is 'Run one function with JSON arguments; its result as JSON.';
grant execute on function private.run_call to anon, authenticated, service_role;

-- An error's detail with the call that it came from. Arguments that a function names become the call's; what
-- Postgres itself says, which is no JSON, becomes the property detail.
create function private.call_detail(detail text, violated text, function text, place integer, prefix text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    data jsonb;
begin
    begin
        data := nullif(detail, '')::jsonb;
    exception
        when data_exception then
            data := null;
    end;
    if jsonb_typeof(data) is distinct from 'object' then
        data := jsonb_strip_nulls(jsonb_build_object(
            'detail', nullif(detail, ''), 'constraint', nullif(violated, '')
        ));
    end if;
    if jsonb_typeof(data -> 'problems') = 'array' then
        data := jsonb_set(data, '{problems}', (
            select coalesce(jsonb_agg(problem || jsonb_build_object(
                'argument', rtrim(prefix || (problem ->> 'argument'), '.')
            )), '[]')
            from jsonb_array_elements(data -> 'problems') as problem
        ));
    end if;
    return data || jsonb_build_object('call', place, 'function', function);
end;
$$;
comment on function private.call_detail is 'An error''s detail with the call that it came from.';
grant execute on function private.call_detail to anon, authenticated, service_role;

-- Raise an error again, as it was but for its detail: SQLSTATE, message and hint are the original's, also of deadlocks
-- and serialization failures, so that whoever repeats those repeats the batch.
create function private.fail_again(state text, message text, detail jsonb, hint text)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if hint = '' then
        raise exception using errcode = state, message = fail_again.message, detail = fail_again.detail;
    end if;
    raise exception using
        errcode = state, message = fail_again.message, detail = fail_again.detail, hint = fail_again.hint;
end;
$$;
comment on function private.fail_again is 'Raise an error again with another detail.';
grant execute on function private.fail_again to anon, authenticated, service_role;

-- Run calls in order, in one transaction: all of them, or none. `calls` is a JSON array of 1 to 100 objects,
--
--     [{"function": "create_job", "arguments": {"output_format": "mp4", "width": 640, "height": 360}},
--      {"function": "get_job", "arguments": {"job_id": {"$ref": "0.id"}}}]
--
-- and the answer the array of their results. Anywhere inside the arguments {"$ref": "0.id"} stands for a part of an
-- earlier call's result: the call's number from 0, then names, and numbers of array elements (negative ones from
-- the end); the number alone for the whole result. Where such an object itself is meant, its key is written with one
-- more dollar sign, which is taken away: {"$$ref": …}. An object with further keys is no reference.
--
-- What is wrong with the form of any call is refused before the first one runs; of many problems the first 100 are
-- told. An error of a function keeps its SQLSTATE, message and hint; its detail names the call and the function
-- besides. A missing argument takes the function's default. The time limit is the one that the Data API applies to
-- the whole request, whatever the caller's own; a direct session keeps its own.
create function public.run_batch(calls jsonb)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '15s'
as $$
declare
    answered bigint := 0;
    place integer := 0;
    problems jsonb := jsonb_build_array();
    function oid;
    arguments jsonb;
    results jsonb[] := array[]::jsonb[];
    running boolean := false;
    error_state text;
    error_message text;
    error_detail text;
    error_hint text;
    error_constraint text;
begin
    perform private.require_list('calls', calls, 100);
    if octet_length(calls::text) > 1048576 then
        perform private.refuse_argument('calls', 'must be at most 1 MiB of JSON');
    end if;
    -- One block for all calls: what fails, fails the batch, and `place` tells which call it was.
    begin
        for number in 0 .. jsonb_array_length(calls) - 1 loop
            if problems = '[]' then
                place := number;
            end if;
            problems := problems || private.call_problems(calls -> number, number);
        end loop;
        if problems <> '[]' then
            perform private.refuse_arguments(jsonb_path_query_array(problems, '$[0 to 99]'));
        end if;
        for number in 0 .. jsonb_array_length(calls) - 1 loop
            place := number;
            running := false;
            function := (private.batch_function(calls -> number -> 'function')).function;
            arguments := private.resolved_arguments(
                function, coalesce(calls -> number -> 'arguments', '{}'), results, number
            );
            running := true;
            results[number + 1] := private.run_call(function, arguments);
            answered := answered + pg_column_size(results[number + 1]);
            if answered > 16777216 then
                running := false;
                perform private.refuse_argument(
                    format('calls[%s]', number), 'makes the answer larger than 16 MiB; ask for less, or in several batches'
                );
            end if;
        end loop;
    exception
        when others or query_canceled then
            get stacked diagnostics
                error_state = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint,
                error_constraint = constraint_name;
            perform private.fail_again(
                error_state,
                error_message,
                private.call_detail(
                    error_detail,
                    error_constraint,
                    left(calls -> place ->> 'function', 63),
                    place,
                    case when running then format('calls[%s].arguments.', place) else '' end
                ),
                error_hint
            );
            return null;
    end;
    return to_jsonb(results);
end;
$$;
comment on function public.run_batch is 'Run a list of calls in one transaction; returns the list of their results.';
grant execute on function public.run_batch to anon, authenticated, service_role;
