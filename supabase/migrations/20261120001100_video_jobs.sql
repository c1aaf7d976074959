-- Video jobs: a job with its elements and its first step, made in one call and one transaction.

create type public.video_job as (
    job public.jobs,
    elements public.elements[],
    step public.processing_timeline
);
comment on type public.video_job is 'A job with its elements in order and its first step.';

-- Create a job, all its elements and its first step (validation, open). `elements` is a JSON array of
-- objects with the arguments of add_job_element; their order is the array's unless they say otherwise.
-- Nothing is created if anything is refused; the error then names the element's place in the array.
create function public.create_video_job(
    output_format text,
    width integer,
    height integer,
    elements jsonb,
    estimated_duration numeric default null,
    client_ip inet default null,
    user_agent text default null,
    metadata jsonb default '{}',
    fps numeric default 30,
    response_type public.response_type default 'async',
    request_body jsonb default '{}',
    user_id uuid default null
)
returns public.video_job
language plpgsql
set search_path = ''
as $$
declare
    made public.video_job;
    new_job_id uuid;
    first_step public.processing_timeline;
begin
    if jsonb_typeof(elements) is distinct from 'array' or jsonb_array_length(elements) not between 1 and 500 then
        perform private.refuse_argument('elements', 'must be a JSON array of 1 to 500 elements');
    end if;
    new_job_id := (public.create_job(
        output_format => create_video_job.output_format,
        width => create_video_job.width,
        height => create_video_job.height,
        estimated_duration => create_video_job.estimated_duration,
        client_ip => create_video_job.client_ip,
        user_agent => create_video_job.user_agent,
        metadata => create_video_job.metadata,
        fps => create_video_job.fps,
        response_type => create_video_job.response_type,
        request_body => create_video_job.request_body,
        user_id => create_video_job.user_id
    )).id;
    made.elements := array(
        select inserted from private.insert_elements(new_job_id, elements, 'elements[%s].') as inserted
        order by (inserted).element_order
    );
    insert into public.processing_timeline (job_id, step, step_order) values (new_job_id, 'validation', 0)
    returning * into first_step;
    made.step := first_step;
    made.job := public.get_job(new_job_id);
    return made;
end;
$$;
comment on function public.create_video_job is 'Create a job with elements and first step in one transaction.';
grant execute on function public.create_video_job to anon, authenticated, service_role;
