-- Elements: the clips, pictures, sounds and texts that a video is made of.

create table public.elements (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.jobs (id) on delete cascade,
    type public.element_type not null,
    source_url text,
    element_order integer not null,
    track integer not null default 0,
    z_index integer not null default 0,
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
    source_kind text generated always as (
        case
            when source_url is null then 'none'
            when source_url ~* '^https?:' then 'web'
            when source_url ~* '^s3:' then 's3'
            when source_url ~* '^data:' then 'inline'
            when source_url ~* '^[a-z][a-z0-9+.-]+:' and source_url !~* '^file:' then 'other'
            else 'file'
        end
    ) stored,
    downloaded boolean not null default false,
    processed boolean not null default false,
    local_path text,
    source_size bigint,
    error_message text,
    processing_state text generated always as (
        case
            when error_message is not null then 'failed'
            when processed then 'processed'
            when downloaded then 'downloaded'
            else 'pending'
        end
    ) stored,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Judged at the end of a statement, so that one statement can put all in another order.
    constraint elements_order_unique unique (job_id, element_order) deferrable initially immediate,
    constraint elements_order_in_range check (element_order between 0 and 9999),
    constraint elements_z_index_in_range check (z_index between -1000 and 1000),
    constraint elements_processed_after_download check (downloaded or not processed or source_url is null),
    constraint elements_local_path_length check (length(local_path) between 1 and 4096),
    constraint elements_source_size_in_range check (source_size between 0 and 5497558138880),
    constraint elements_error_length check (length(error_message) between 1 and 10000),
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
    constraint elements_start_in_range check (start_time between 0 and 86400 and scale(start_time) <= 20),
    constraint elements_duration_in_range check (duration > 0 and duration <= 86400 and scale(duration) <= 20),
    constraint elements_text_style_is_object check (private.is_plain_object(text_style, 65536)),
    constraint elements_metadata_is_object check (private.is_plain_object(metadata, 65536))
);
alter table public.elements enable row level security;

comment on table public.elements is 'The clips, pictures, sounds and texts of a job, in order.';
comment on column public.elements.element_order is 'Place within the job, from 0; of two elements on one track and z_index the later lies on top.';
comment on column public.elements.track is 'Layer, from 0; higher ones lie on top.';
comment on column public.elements.z_index is 'Depth within the track; higher ones lie on top.';
comment on column public.elements.source_kind is 'What source_url is: web, s3, inline (data:), file, other; none of a text.';
comment on column public.elements.processing_state is 'pending, downloaded, processed or failed.';
comment on column public.elements.local_path is 'Where the worker keeps the source while it renders.';
comment on column public.elements.source_size is 'Size of the source in bytes.';
comment on column public.elements.error_message is 'Why the source could not be used.';
comment on column public.elements.x_position is 'Left edge: pixels (640, 640px) or percent of the output''s width (50%).';
comment on column public.elements.y_position is 'Top edge: pixels or percent of the output''s height.';
comment on column public.elements.width is 'Pixels or percent of the output''s width; null keeps the source''s shape.';
comment on column public.elements.height is 'Pixels or percent of the output''s height; null keeps the source''s shape.';
comment on column public.elements.start_time is 'Seconds of the output at which the element appears.';
comment on column public.elements.duration is 'Seconds it stays; null: as long as its source, or to the end.';
comment on constraint elements_order_in_range on public.elements is 'must be 0 to 9999';
comment on constraint elements_track_in_range on public.elements is 'must be 0 to 999';
comment on constraint elements_z_index_in_range on public.elements is 'must be -1000 to 1000';
comment on constraint elements_processed_after_download on public.elements is 'must be true of what is processed';
comment on constraint elements_local_path_length on public.elements is 'must have 1 to 4096 characters';
comment on constraint elements_source_size_in_range on public.elements is 'must be bytes, 0 to 5 TiB';
comment on constraint elements_error_length on public.elements is 'must have 1 to 10000 characters';
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

create index elements_by_type on public.elements (type, created_at, id);
create index elements_by_state on public.elements (processing_state, created_at, id);
create index elements_newest on public.elements (created_at, id);

-- No role writes the table: the functions do, through definers in private.
grant select on public.elements to anon, authenticated, service_role;

-- Whether a job is the caller's own, whom row-level security lets see it. What a watch token shows is not.
create function private.owns_job(job_id uuid)
returns boolean
language sql
stable
set search_path = ''
as $$
    select private.watched_job() is null
        and exists (
            select from public.jobs
            where jobs.id = owns_job.job_id
                and case when auth.role() = 'anon'
                    then jobs.user_id is null and jobs.client_ip = private.client_ip()
                    else jobs.user_id = private.user_id()
                end
        );
$$;
comment on function private.owns_job is 'Whether a job is the caller''s own.';
grant execute on function private.owns_job to anon, authenticated, service_role;

-- Refuse a composition to those who may see the job and not change it.
create function private.require_owner(job_id uuid)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if not (private.is_service() or private.owns_job(job_id)) then
        perform private.fail(
            'permission_denied',
            'Only the job''s owner or a backend may do this.',
            jsonb_build_object('job_id', job_id, 'role', private.user_role())
        );
    end if;
end;
$$;
comment on function private.require_owner is 'Refuse a composition to those who only see the job.';
grant execute on function private.require_owner to anon, authenticated, service_role;

create policy "Who sees a job sees its elements" on public.elements
    for select to anon, authenticated using (
        (select private.is_service()) or exists (select from public.jobs where jobs.id = elements.job_id)
    );
-- Refuse another composition of a job that has begun: a worker must not render a plan that moves under it.
create function private.require_pending(job public.jobs)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if job.status <> 'pending' then
        perform private.fail(
            'job_not_pending',
            format('The job is %s; its elements are added, ordered and removed before it starts.', job.status),
            jsonb_build_object('job_id', job.id, 'status', job.status),
            'Create a new job with all its elements.'
        );
    end if;
end;
$$;
comment on function private.require_pending is 'Refuse another composition of a job that has begun.';
grant execute on function private.require_pending to anon, authenticated, service_role;

-- The same on every path. After the change, so that the policies have spoken first, and once a statement, however
-- many elements it changes. Definer: to lock the jobs.
create function private.elements_need_pending_job()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    job public.jobs;
begin
    for job in
        select * from public.jobs
        where id in (select job_id from changed)
        order by id
        for no key update
    loop
        perform private.require_pending(job);
    end loop;
    return null;
end;
$$;
comment on function private.elements_need_pending_job is 'Trigger: a job is composed while it waits.';

create trigger a_need_pending_job_to_add after insert on public.elements
    referencing new table as changed
    for each statement execute function private.elements_need_pending_job();
create trigger a_need_pending_job_to_remove after delete on public.elements
    referencing old table as changed
    for each statement execute function private.elements_need_pending_job();

-- An element changes while its job has not ended, its place while the job waits. Definer: to lock the job.
create function private.elements_keep_rules()
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
    if new.element_order <> old.element_order then
        perform private.require_pending(job);
    end if;
    perform private.require_unfinished(job);
    return new;
end;
$$;
comment on function private.elements_keep_rules is 'Trigger: an element changes while its job has not ended.';

create trigger a_keep_rules before update on public.elements
    for each row execute function private.elements_keep_rules();
create trigger b_touch before update on public.elements
    for each row execute function private.touch_updated_at();

-- What may be said of an element that is to be created.
create function private.element_properties()
returns text[]
language sql
immutable
set search_path = ''
as $$
    select array[
        'type', 'source_url', 'element_order', 'track', 'z_index', 'x_position', 'y_position', 'width', 'height',
        'fit_mode', 'start_time', 'duration', 'text_content', 'text_style', 'metadata'
    ];
$$;
comment on function private.element_properties is 'What may be said of an element that is to be created.';
grant execute on function private.element_properties to anon, authenticated, service_role;

-- Insert elements, given as a JSON array, into a locked job in one statement. Those without an
-- element_order follow the job's last one in the array's order. A refusal names every problem of every
-- element; `prefix` goes before the argument's name, with %s for the element's place in the array. Definer: no role
-- writes the table.
create function private.insert_elements(job_id uuid, elements jsonb, prefix text)
returns setof public.elements
language plpgsql
security definer
set search_path = ''
as $$
declare
    next_order integer;
begin
    perform private.require_owner(job_id);
    select coalesce(max(present.element_order) + 1, 0) into next_order
    from public.elements as present where present.job_id = insert_elements.job_id;
    if next_order + jsonb_array_length(elements) - 1 > 9999
        and exists (select from jsonb_array_elements(elements) as given where given ->> 'element_order' is null)
    then
        perform private.refuse_argument(
            rtrim(format(prefix, 0), '.') || case when prefix = '' then 'element_order' else '' end,
            'would come after place 9999, the last; give each an element_order'
        );
    end if;
    if exists (
        select from jsonb_array_elements(insert_elements.elements) as given
        where given - private.element_properties() <> '{}'
    ) then
        raise data_exception;
    end if;
    return query
        insert into public.elements (
            job_id, type, source_url, element_order, track, z_index, x_position, y_position, width, height,
            fit_mode, start_time, duration, text_content, text_style, metadata
        )
        select
            insert_elements.job_id,
            given.type,
            given.source_url,
            coalesce(given.element_order, next_order + place - 1),
            coalesce(given.track, 0),
            coalesce(given.z_index, 0),
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
        perform private.refuse_arguments(
            private.rows_problems(
                'public.elements', elements, private.element_properties(), prefix, array['element_order']
            ),
            sqlerrm
        );
end;
$$;
comment on function private.insert_elements is 'Insert a JSON array of elements in one statement.';
grant execute on function private.insert_elements to anon, authenticated, service_role;

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
    metadata jsonb default '{}',
    z_index integer default 0
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
        'text_content', text_content, 'text_style', text_style, 'metadata', metadata, 'z_index', z_index
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

-- Add elements, given as a JSON array of objects with the arguments of add_job_element, to a job that waits, all or
-- none, in one statement. A refusal names every problem of every element.
create function public.bulk_add_elements(job_id uuid, elements jsonb)
returns setof public.elements
language plpgsql
set search_path = ''
as $$
begin
    perform private.locked_job(job_id);
    perform private.require_list('elements', elements, 500);
    return query
        select * from private.insert_elements(job_id, elements, 'elements[%s].') as added
        order by added.element_order;
end;
$$;
comment on function public.bulk_add_elements is 'Add many elements to a job that waits; returns them in order.';
grant execute on function public.bulk_add_elements to anon, authenticated, service_role;

create type public.element_page as (items public.elements[], next_cursor text);
comment on type public.element_page is 'One page of elements; next_cursor is null on the last.';

-- A page of the elements that the role may see.
create function private.page_of_elements(
    type public.element_type, processing_state text, job_id uuid, page_size integer, cursor text
)
returns public.element_page
language plpgsql
stable
set search_path = ''
as $$
declare
    place record := private.cursor_place('elements', cursor, 'timestamptz', 'uuid');
    rows public.elements[];
begin
    execute 'select array_agg(page.element) from (select elements as element from public.elements where '
        || concat_ws(
            ' and ',
            -- What row-level security demands anyway, in a form that an index answers.
            case
                when private.is_service() then 'true'
                when private.watched_job() is not null then 'elements.job_id = private.watched_job()'
                when auth.role() = 'anon' then
                    'elements.job_id in (select id from public.jobs where client_ip = private.client_ip())'
                else 'elements.job_id in (select id from public.jobs where user_id = private.user_id())'
            end,
            case when type is not null then 'elements.type = $1' end,
            case when processing_state is not null then 'elements.processing_state = $2' end,
            case when job_id is not null then 'elements.job_id = $3' end,
            case when cursor is not null then '(elements.created_at, elements.id) < ($4, $5)' end
        )
        || ' order by elements.created_at desc, elements.id desc limit $6) as page'
    into rows
    using type, processing_state, job_id, place.value::timestamptz, place.id::uuid, page_size + 1;
    return (
        coalesce(rows[1:page_size], '{}'),
        case when cardinality(rows) > page_size then
            private.cursor('elements', to_jsonb(rows[page_size].created_at), rows[page_size].id::text)
        end
    );
end;
$$;
comment on function private.page_of_elements is 'A page of the elements that the role may see.';
grant execute on function private.page_of_elements to anon, authenticated, service_role;

-- The same for backends, who see all. Definer, because below a policy Postgres looks no type up in an index: comparing an
-- enum might tell of rows that the policy hides.
create function private.page_of_all_elements(
    type public.element_type, processing_state text, job_id uuid, page_size integer, cursor text
)
returns public.element_page
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    return private.page_of_elements(type, processing_state, job_id, page_size, cursor);
end;
$$;
comment on function private.page_of_all_elements is 'A page of all elements, for backends.';
grant execute on function private.page_of_all_elements to authenticated, service_role;

-- Elements of all jobs that the caller may see, newest first, a page at a time; of one type, one processing state,
-- one job.
create function public.list_elements(
    type public.element_type default null,
    processing_state text default null,
    job_id uuid default null,
    page_size integer default 50,
    cursor text default null
)
returns public.element_page
language plpgsql
stable
set search_path = ''
as $$
begin
    perform private.require_range('page_size', page_size, 1, 500);
    if processing_state not in ('pending', 'downloaded', 'processed', 'failed') then
        perform private.refuse_argument('processing_state', 'must be pending, downloaded, processed or failed');
    end if;
    if private.is_service() then
        return private.page_of_all_elements(type, processing_state, job_id, page_size, cursor);
    end if;
    return private.page_of_elements(type, processing_state, job_id, page_size, cursor);
end;
$$;
comment on function public.list_elements is 'A page of elements, newest first.';
grant execute on function public.list_elements to anon, authenticated, service_role;

-- The job of an element that the caller may see, locked; else not_found.
create function private.job_of_element(element_id uuid)
returns public.jobs
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs;
begin
    for attempt in 1..2 loop
        select elements.job_id into job.id from public.elements where elements.id = element_id;
        if not found then
            perform private.fail(
                'not_found',
                format('There is no element %s.', coalesce(element_id::text, 'without an id')),
                jsonb_build_object('element_id', element_id),
                'Use an id that get_job_elements returns.'
            );
        end if;
        -- Once the job is locked the element may be gone; the second look tells.
        job := private.locked_job(job.id);
    end loop;
    return job;
end;
$$;
comment on function private.job_of_element is 'The job of an element, locked, if the caller may see it.';
grant execute on function private.job_of_element to anon, authenticated, service_role;

-- Write an element of a locked job back as the caller has changed it. Definer: no role writes the table.
create function private.keep_element(changed public.elements)
returns public.elements
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_service();
    update public.elements set
        downloaded = changed.downloaded,
        processed = changed.processed,
        local_path = changed.local_path,
        source_size = changed.source_size,
        error_message = changed.error_message
    where id = changed.id
    returning * into changed;
    return changed;
end;
$$;
comment on function private.keep_element is 'Write an element back. Backends only.';
grant execute on function private.keep_element to authenticated, service_role;

-- Record how far a worker is with an element; what is not given stays. A success clears the error of an earlier try.
create function public.update_element_status(
    element_id uuid,
    downloaded boolean default null,
    processed boolean default null,
    local_path text default null,
    source_size bigint default null,
    error_message text default null,
    claim bigint default null
)
returns public.elements
language plpgsql
set search_path = ''
as $$
declare
    element public.elements;
begin
    perform private.require_service();
    perform private.require_claim((private.job_of_element(element_id)).id, claim);
    select * into element from public.elements where elements.id = element_id;
    if coalesce(downloaded, processed, false) then
        element.error_message := null;
    end if;
    element.downloaded := coalesce(downloaded, element.downloaded);
    element.processed := coalesce(processed, element.processed);
    element.local_path := coalesce(local_path, element.local_path);
    element.source_size := coalesce(source_size, element.source_size);
    element.error_message := coalesce(error_message, element.error_message);
    return private.keep_element(element);
exception
    when check_violation then
        perform private.refuse_arguments(private.row_problems('public.elements', jsonb_build_object(
            'local_path', local_path, 'source_size', source_size, 'error_message', error_message
        ) || case when processed and not coalesce(downloaded, false) then
            '{"downloaded": false, "processed": true, "source_url": "it has one"}' else '{}'::jsonb
        end), sqlerrm);
        return null;
end;
$$;
comment on function public.update_element_status is 'Record how far a worker is with an element. Backends only.';
grant execute on function public.update_element_status to authenticated, service_role;

-- Put the elements of a job that waits in another order: all of them, each once. A refusal names the first hundred
-- problems.
create function public.reorder_elements(job_id uuid, element_ids uuid[])
returns setof public.elements
language plpgsql
set search_path = ''
as $$
declare
    job public.jobs := private.locked_job(job_id);
    problems jsonb;
begin
    if cardinality(element_ids) > 10000 then
        perform private.refuse_argument('element_ids', 'must have at most 10000 elements');
    end if;
    select jsonb_agg(problem order by place) into problems from (
        select
            place,
            jsonb_build_object(
                'argument', format('element_ids[%s]', place - 1),
                'problem', case
                    when elements.id is null then 'is no element of the job'
                    else 'stands there twice'
                end
            ) as problem
        from (
            select id, place, row_number() over (partition by id order by place) as time
            from unnest(element_ids) with ordinality as listed (id, place)
        ) as given
        left join public.elements on elements.id = given.id and elements.job_id = reorder_elements.job_id
        where elements.id is null or given.time > 1
        union all
        select
            cardinality(element_ids) + 1,
            jsonb_build_object('argument', 'element_ids', 'problem', format('lacks the element %s', elements.id))
        from public.elements
        where elements.job_id = reorder_elements.job_id
            and not exists (select from unnest(element_ids) as listed (id) where listed.id = elements.id)
        -- Who has more than so many to mend needs no list of all.
        order by place limit 100
    ) as found_problems;
    if problems is not null then
        perform private.refuse_arguments(problems);
    end if;
    perform private.put_in_order(job.id, element_ids);
    return query select * from public.get_job_elements(job_id);
end;
$$;
comment on function public.reorder_elements is 'Put the elements of a job that waits in another order; returns them.';
grant execute on function public.reorder_elements to anon, authenticated, service_role;

-- The change itself. Definer: owners may order their elements and change nothing else of them.
create function private.put_in_order(job_id uuid, element_ids uuid[])
returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
    perform private.require_owner(job_id);
    update public.elements set element_order = given.place - 1
    from unnest(element_ids) with ordinality as given (id, place)
    where elements.id = given.id and elements.job_id = put_in_order.job_id and element_order <> given.place - 1;
end;
$$;
comment on function private.put_in_order is 'Order the elements of a job of the caller''s own, or as a backend of any.';
grant execute on function private.put_in_order to anon, authenticated, service_role;

-- Remove an element from a job that waits; returns what it was.
create function public.delete_element(element_id uuid)
returns public.elements
language plpgsql
set search_path = ''
as $$
begin
    perform private.job_of_element(element_id);
    return private.remove_element(element_id);
end;
$$;
comment on function public.delete_element is 'Remove an element from a job that waits; returns it.';
grant execute on function public.delete_element to anon, authenticated, service_role;

-- The deletion itself. Definer: no role has the right to delete elements.
create function private.remove_element(element_id uuid)
returns public.elements
language plpgsql
security definer
set search_path = ''
as $$
declare
    removed public.elements;
begin
    delete from public.elements where id = element_id returning * into removed;
    perform private.require_owner(removed.job_id);
    return removed;
end;
$$;
comment on function private.remove_element is 'Remove an element of a job of the caller''s own, or as a backend of any.';
grant execute on function private.remove_element to anon, authenticated, service_role;
