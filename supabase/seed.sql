-- A small, believable data set for development: two users and an anonymous client, jobs in every state with what belongs to
-- them, over the last week. Loaded once, by hand or with [db.seed] in config.toml turned on:
--
--     psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f supabase/seed.sql
--
-- Everything is made through the functions that users call, so the rules hold for it. Only its times are put back then, for
-- which the triggers stand aside: what has ended does not change.

create temporary table seeded (job_id uuid primary key, ago interval not null);

do $$
declare
    ada constant uuid := '00000000-0000-4000-8000-000000000001';
    ben constant uuid := '00000000-0000-4000-8000-000000000002';
    campaign record;
    made public.video_job;
    claimed public.claimed_job;
    step public.processing_step;
    started uuid;
    element public.elements;
begin
    perform public.set_metric_threshold('cpu_usage', warning => 80, critical => 95);
    perform public.set_metric_threshold('disk_free_bytes', warning => 10e9, critical => 2e9, direction => 'below');

    for campaign in
        select *
        from (
            values
                -- name, format, width, height, user, client, seconds, hours ago, how it ends
                ('Spring sale', 'mp4', 1920, 1080, ada, null, 15.0, 160, 'completed'),
                ('Spring sale, square', 'mp4', 1080, 1080, ada, null, 15.0, 159, 'completed'),
                ('Spring sale, story', 'mp4', 1080, 1920, ada, null, 15.0, 158, 'completed'),
                ('Product tour', 'webm', 1280, 720, ben, null, 48.5, 120, 'completed'),
                ('Product tour, with subtitles', 'webm', 1280, 720, ben, null, 48.5, 96, 'failed'),
                ('Loop for the shop window', 'gif', 640, 360, null, '203.0.113.20', 6.0, 72, 'completed'),
                ('Birthday greeting', 'mp4', 1280, 720, null, '203.0.113.20', 10.0, 50, 'cancelled'),
                ('Annual report', 'mov', 3840, 2160, ben, null, 240.0, 30, 'timeout'),
                ('Autumn teaser', 'mp4', 1920, 1080, ada, null, 20.0, 6, 'completed'),
                ('Autumn teaser, second cut', 'mp4', 1920, 1080, ada, null, 20.0, 2, 'processing'),
                ('Autumn teaser, square', 'mp4', 1080, 1080, ada, null, 20.0, 1, 'pending'),
                ('Job advert', 'mp4', 1280, 720, null, '198.51.100.7', 30.0, 1, 'pending')
        ) as wanted (name, output_format, width, height, user_id, client_ip, seconds, hours, ending)
    loop
        made := public.create_video_job(
            output_format => campaign.output_format,
            width => campaign.width,
            height => campaign.height,
            estimated_duration => campaign.seconds,
            user_id => campaign.user_id,
            client_ip => campaign.client_ip::inet,
            user_agent => 'Mozilla/5.0 (X11; Linux x86_64) Firefox/141.0',
            metadata => jsonb_build_object('campaign', campaign.name),
            idempotency_key => 'seed: ' || campaign.name,
            elements => jsonb_build_array(
                jsonb_build_object(
                    'type', 'video', 'source_url', 'https://assets.example.com/background.mp4',
                    'width', '100%', 'height', '100%', 'fit_mode', 'cover'
                ),
                jsonb_build_object(
                    'type', 'image', 'source_url', 's3://assets/logo.png', 'track', 1,
                    'x_position', '5%', 'y_position', '5%', 'width', '15%'
                ),
                jsonb_build_object(
                    'type', 'text', 'text_content', campaign.name, 'track', 2, 'y_position', '80%', 'width', '100%',
                    'text_style', jsonb_build_object('font_size', 64, 'color', '#ffffff')
                )
            )
        );

        if campaign.ending <> 'pending' then
            select * into claimed from public.claim_jobs('render-1', lease => interval '1 hour');
            foreach step in array array['validation', 'download', 'processing', 'encoding']::public.processing_step[] loop
                started := (public.start_processing_step((claimed.job).id, step, claim => claimed.claim)).id;
                exit when step = 'encoding';
                perform public.complete_processing_step(
                    started, cpu_usage => 85, memory_usage => 180000000, claim => claimed.claim
                );
            end loop;
            foreach element in array made.elements loop
                perform public.update_element_status(
                    element.id, downloaded => element.source_url is not null, processed => true,
                    source_size => case when element.source_url is not null then 4800000 end, claim => claimed.claim
                );
            end loop;
            perform public.update_step_progress(started, 40, claim => claimed.claim);
        end if;

        case campaign.ending
            when 'completed' then
                perform public.complete_processing_step(
                    started, cpu_usage => 180, memory_usage => 420000000, claim => claimed.claim
                );
                perform public.log_storage_operation(
                    'upload', 'videos', format('2026/%s.%s', (made.job).id, campaign.output_format), job_id => (made.job).id,
                    region => 'eu-central-1', file_size => (campaign.seconds * 410000)::bigint, duration_ms => 2300
                );
                perform public.complete_job(
                    (made.job).id,
                    claimed.claim,
                    output_url => format('https://cdn.example.com/2026/%s.%s', (made.job).id, campaign.output_format),
                    output_size => (campaign.seconds * 410000)::bigint,
                    actual_duration => campaign.seconds,
                    s3_bucket => 'videos',
                    s3_key => format('2026/%s.%s', (made.job).id, campaign.output_format),
                    s3_region => 'eu-central-1'
                );
                perform public.log_url_access(
                    (made.job).id,
                    format('https://cdn.example.com/2026/%s.%s', (made.job).id, campaign.output_format),
                    client_ip => '198.51.100.50',
                    user_agent => 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/605.1.15',
                    referrer => 'https://shop.example.com/',
                    country => 'DE',
                    bytes_sent => (campaign.seconds * 410000)::bigint,
                    latency_ms => 48
                );
            when 'failed' then
                perform public.fail_job(
                    (made.job).id, claimed.claim, 'source_unreadable', 'The file subtitles.srt is not UTF-8.',
                    retryable => false
                );
            when 'cancelled' then
                perform public.cancel_job((made.job).id, 'No longer needed.');
            when 'timeout' then
                perform public.update_job_status(
                    (made.job).id, 'timeout', error_code => 'time_limit',
                    error_message => 'The video was not ready after 3600 seconds.', claim => claimed.claim
                );
            else
                null;
        end case;

        insert into seeded (job_id, ago) values ((made.job).id, make_interval(hours => campaign.hours));
    end loop;

    perform public.record_metrics(jsonb_agg(jsonb_build_object(
        'metric', 'cpu_usage', 'unit', 'percent', 'labels', jsonb_build_object('host', 'render-1'),
        'value', 35 + 50 * abs(sin(minute / 40.0)),
        'recorded_at', now() - make_interval(mins => 360 - minute)
    ) order by minute))
    from generate_series(0, 355, 5) as minute;
end;
$$;

alter table public.jobs disable trigger user;
alter table public.processing_timeline disable trigger user;

update public.jobs set
    created_at = created_at - ago,
    available_at = available_at - ago,
    started_at = started_at - ago + interval '20 seconds',
    completed_at = completed_at - ago + interval '100 seconds',
    finished_at = finished_at - ago + interval '100 seconds'
from seeded where seeded.job_id = jobs.id;

-- A step a quarter of a minute after the other, encoding longer.
update public.processing_timeline set
    started_at = started_at - ago + interval '20 seconds' + step_order * interval '15 seconds',
    completed_at = completed_at - ago + interval '35 seconds' + step_order * interval '15 seconds'
        + case when step = 'encoding' then interval '20 seconds' else interval '0' end
from seeded where seeded.job_id = processing_timeline.job_id;

alter table public.jobs enable trigger user;
alter table public.processing_timeline enable trigger user;

update public.job_claims set
    claimed_at = claimed_at - ago + interval '20 seconds',
    heartbeat_at = heartbeat_at - ago + interval '95 seconds',
    ended_at = ended_at - ago + interval '100 seconds'
from seeded where seeded.job_id = job_claims.job_id;

update public.job_events set created_at = created_at - ago
from seeded where seeded.job_id = job_events.job_id;

update public.storage_operations set created_at = created_at - ago + interval '95 seconds'
from seeded where seeded.job_id = storage_operations.job_id;

update public.url_access_logs set accessed_at = accessed_at - ago + interval '1 hour'
from seeded where seeded.job_id = url_access_logs.job_id;

drop table seeded;
