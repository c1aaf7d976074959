-- Elements: the clips, pictures, sounds and texts that a video is made of.

create table public.elements (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.jobs (id) on delete cascade,
    type public.element_type not null,
    source_url text,
    element_order integer not null,
    track integer not null default 0,
    x_position text not null default '0',
    y_position text not null default '0',
    width text,
    height text,
    fit_mode public.fit_mode not null default 'auto',
    start_time numeric not null default 0,
    duration numeric,
    text_content text,
    text_style jsonb not null default '{}',
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint elements_order_unique unique (job_id, element_order),
    constraint elements_order_in_range check (element_order between 0 and 9999),
    constraint elements_track_in_range check (track between 0 and 999),
    constraint elements_source_unless_text check ((type = 'text') = (source_url is null)),
    constraint elements_text_only_if_text check ((type = 'text') = (text_content is not null)),
    constraint elements_source_length check (length(source_url) between 1 and 2048),
    constraint elements_text_length check (length(text_content) between 1 and 10000),
    constraint elements_x_is_length check (x_position ~ '^-?[0-9]{1,5}(\.[0-9]{1,4})?(px|%)?$'),
    constraint elements_y_is_length check (y_position ~ '^-?[0-9]{1,5}(\.[0-9]{1,4})?(px|%)?$'),
    constraint elements_width_is_length check (
        width ~ '^[0-9]{1,5}(\.[0-9]{1,4})?(px|%)?$' and width ~ '[1-9]'
    ),
    constraint elements_height_is_length check (
        height ~ '^[0-9]{1,5}(\.[0-9]{1,4})?(px|%)?$' and height ~ '[1-9]'
    ),
    constraint elements_start_in_range check (start_time between 0 and 86400),
    constraint elements_duration_in_range check (duration > 0 and duration <= 86400),
    constraint elements_text_style_is_object check (private.is_plain_object(text_style, 65536)),
    constraint elements_metadata_is_object check (private.is_plain_object(metadata, 65536))
);
alter table public.elements enable row level security;

comment on table public.elements is 'The clips, pictures, sounds and texts of a job, in order.';
comment on column public.elements.element_order is 'Place within the job, from 0; of two elements on one track the later lies on top.';
comment on column public.elements.track is 'Layer, from 0; higher ones lie on top.';
comment on column public.elements.x_position is 'Left edge: pixels (640, 640px) or percent of the output''s width (50%).';
comment on column public.elements.y_position is 'Top edge: pixels or percent of the output''s height.';
comment on column public.elements.width is 'Pixels or percent of the output''s width; null keeps the source''s shape.';
comment on column public.elements.height is 'Pixels or percent of the output''s height; null keeps the source''s shape.';
comment on column public.elements.start_time is 'Seconds of the output at which the element appears.';
comment on column public.elements.duration is 'Seconds it stays; null: as long as its source, or to the end.';
comment on constraint elements_order_in_range on public.elements is 'must be 0 to 9999';
comment on constraint elements_track_in_range on public.elements is 'must be 0 to 999';
comment on constraint elements_source_unless_text on public.elements is 'needs a source_url, except a text, which has none';
comment on constraint elements_text_only_if_text on public.elements is 'needs text_content if it is a text, and has none otherwise';
comment on constraint elements_source_length on public.elements is 'must have 1 to 2048 characters';
comment on constraint elements_text_length on public.elements is 'must have 1 to 10000 characters';
comment on constraint elements_x_is_length on public.elements is 'must be pixels (640, 640px) or percent (50%)';
comment on constraint elements_y_is_length on public.elements is 'must be pixels (640, 640px) or percent (50%)';
comment on constraint elements_width_is_length on public.elements is 'must be positive pixels (640, 640px) or percent (50%)';
comment on constraint elements_height_is_length on public.elements is 'must be positive pixels (640, 640px) or percent (50%)';
comment on constraint elements_start_in_range on public.elements is 'must be 0 to 86400 seconds';
comment on constraint elements_duration_in_range on public.elements is 'must be more than 0 and at most 86400 seconds';
comment on constraint elements_text_style_is_object on public.elements is 'must be a plain JSON object of at most 64 KiB';
comment on constraint elements_metadata_is_object on public.elements is 'must be a plain JSON object of at most 64 KiB';

grant select on public.elements to anon, authenticated, service_role;
grant insert (
    job_id, type, source_url, element_order, track, x_position, y_position, width, height,
    fit_mode, start_time, duration, text_content, text_style, metadata
) on public.elements to anon, authenticated, service_role;

create policy "Who sees a job sees its elements" on public.elements
    for select to anon, authenticated using (
        exists (select from public.jobs where jobs.id = elements.job_id)
    );
create policy "Anonymous clients add to jobs of their own address" on public.elements
    for insert to anon with check (
        exists (
            select from public.jobs
            where jobs.id = elements.job_id
                and jobs.user_id is null
                and jobs.client_ip = (select private.client_ip())
        )
        and (select private.watched_job()) is null
    );
create policy "Users add to jobs of their own, backends to any" on public.elements
    for insert to authenticated with check (
        (select private.is_service())
        or exists (
            select from public.jobs
            where jobs.id = elements.job_id
                and jobs.user_id = (select auth.uid())
                and (select private.watched_job()) is null
        )
    );

-- Elements change only while their job waits: a worker must not render a plan that moves under it.
-- After the insert, so that the policies have spoken first. Definer: to lock the job.
create function private.elements_need_pending_job()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    job public.jobs;
begin
    perform private.lock_job(new.job_id);
    select * into job from public.jobs where jobs.id = new.job_id;
    if job.status <> 'pending' then
        perform private.fail(
            'job_not_pending',
            format('The job is %s; elements are added before it starts.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Create a new job with all its elements.'
        );
    end if;
    return null;
end;
$$;
comment on function private.elements_need_pending_job is 'Trigger: refuses elements of a job that has begun.';

create trigger a_need_pending_job after insert on public.elements
    for each row execute function private.elements_need_pending_job();
create trigger b_touch before update on public.elements
    for each row execute function private.touch_updated_at();

-- Names in a JSON object that are no property of an element: a misspelt one would be ignored in silence.
create function private.unknown_element_properties(element jsonb)
returns setof text
language sql
immutable
set search_path = ''
as $$
    select name from jsonb_object_keys(element) as name
    where name not in (
        'type', 'source_url', 'element_order', 'track', 'x_position', 'y_position', 'width', 'height',
        'fit_mode', 'start_time', 'duration', 'text_content', 'text_style', 'metadata'
    )
    order by name;
$$;
comment on function private.unknown_element_properties is 'Names that are no property of an element.';
grant execute on function private.unknown_element_properties to anon, authenticated, service_role;

-- Insert elements, given as a JSON array, into a locked job in one statement. Those without an
-- element_order follow the job's last one in the array's order. A refusal names every problem of every
-- element; `prefix` goes before the argument's name, with %s for the element's place in the array.
create function private.insert_elements(job_id uuid, elements jsonb, prefix text)
returns setof public.elements
language plpgsql
set search_path = ''
as $$
declare
    next_order integer;
begin
    select coalesce(max(present.element_order) + 1, 0) into next_order
    from public.elements as present where present.job_id = insert_elements.job_id;
    if exists (
        select from jsonb_array_elements(insert_elements.elements) as given,
            private.unknown_element_properties(given)
    ) then
        raise data_exception;
    end if;
    return query
        insert into public.elements (
            job_id, type, source_url, element_order, track, x_position, y_position, width, height,
            fit_mode, start_time, duration, text_content, text_style, metadata
        )
        select
            insert_elements.job_id,
            given.type,
            given.source_url,
            coalesce(given.element_order, next_order + place - 1),
            coalesce(given.track, 0),
            coalesce(given.x_position, '0'),
            coalesce(given.y_position, '0'),
            given.width,
            given.height,
            coalesce(given.fit_mode, 'auto'),
            coalesce(given.start_time, 0),
            given.duration,
            given.text_content,
            coalesce(given.text_style, '{}'),
            coalesce(given.metadata, '{}')
        from jsonb_array_elements(insert_elements.elements) with ordinality as item (value, place),
            jsonb_populate_record(null::public.elements, item.value) as given
        returning elements.*;
exception
    when unique_violation then
        perform private.fail(
            'order_taken',
            'Two elements of the job would have the same place in the order.',
            jsonb_build_object('job_id', job_id, 'constraint', 'elements_order_unique'),
            'Choose another element_order, or leave it out to add elements at the end.'
        );
    when check_violation or not_null_violation or data_exception then
        perform private.refuse_arguments(private.elements_problems(elements, prefix), sqlerrm);
end;
$$;
comment on function private.insert_elements is 'Insert a JSON array of elements in one statement.';
grant execute on function private.insert_elements to anon, authenticated, service_role;

-- Every problem of every element of a JSON array. Runs only after a violation.
create function private.elements_problems(elements jsonb, prefix text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
    item record;
    found_here jsonb;
    problems jsonb := jsonb_build_array();
begin
    for item in
        select value, place - 1 as place from jsonb_array_elements(elements) with ordinality as element (value, place)
    loop
        begin
            if jsonb_typeof(item.value) <> 'object' then
                raise data_exception using message = 'must be a JSON object';
            end if;
            found_here := private.row_problems(
                'public.elements', jsonb_build_object('type', null) || item.value
            ) || (
                select coalesce(
                    jsonb_agg(jsonb_build_object('argument', name, 'problem', 'is no property of an element')), '[]'
                )
                from private.unknown_element_properties(item.value) as name
            );
        exception
            when data_exception then
                found_here := jsonb_build_array(jsonb_build_object('argument', '', 'problem', sqlerrm));
        end;
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
comment on function private.elements_problems is 'Every problem of every element of a JSON array.';
grant execute on function private.elements_problems to anon, authenticated, service_role;

-- Add one element to a job that waits; without element_order it goes last.
create function public.add_job_element(
    job_id uuid,
    type public.element_type,
    source_url text default null,
    element_order integer default null,
    track integer default 0,
    x_position text default '0',
    y_position text default '0',
    width text default null,
    height text default null,
    fit_mode public.fit_mode default 'auto',
    start_time numeric default 0,
    duration numeric default null,
    text_content text default null,
    text_style jsonb default '{}',
    metadata jsonb default '{}'
)
returns public.elements
language plpgsql
set search_path = ''
as $$
declare
    element public.elements;
begin
    perform private.locked_job(job_id);
    select * into element from private.insert_elements(job_id, jsonb_build_array(jsonb_build_object(
        'type', type, 'source_url', source_url, 'element_order', element_order, 'track', track,
        'x_position', x_position, 'y_position', y_position, 'width', width, 'height', height,
        'fit_mode', fit_mode, 'start_time', start_time, 'duration', duration,
        'text_content', text_content, 'text_style', text_style, 'metadata', metadata
    )), '');
    return element;
end;
$$;
comment on function public.add_job_element is 'Add an element to a job that waits; returns it.';
grant execute on function public.add_job_element to anon, authenticated, service_role;

-- The elements of a job in their order.
create function public.get_job_elements(job_id uuid)
returns setof public.elements
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.visible_job(job_id);
    return query
        select * from public.elements
        where elements.job_id = get_job_elements.job_id
        order by elements.element_order;
end;
$$;
comment on function public.get_job_elements is 'The elements of a job in order.';
grant execute on function public.get_job_elements to anon, authenticated, service_role;
