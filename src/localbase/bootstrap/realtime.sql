-- The database side of Realtime: broadcast messages and who may read and write a private channel.

create schema realtime authorization supabase_admin;
grant usage on schema realtime to anon, authenticated, service_role, postgres, supabase_realtime_admin;

-- Messages that the database broadcasts. Policies on this table are the rules of private channels.
create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(),
    primary key (id, inserted_at)
) partition by range (inserted_at);
alter table realtime.messages enable row level security;
alter table realtime.messages owner to supabase_realtime_admin;
grant select, insert, update on realtime.messages to anon, authenticated, service_role, postgres;

-- The platform makes a partition a day; a development database is happy with one.
create table realtime.messages_default partition of realtime.messages default;
alter table realtime.messages_default enable row level security;
alter table realtime.messages_default owner to supabase_realtime_admin;

create publication supabase_realtime_messages_publication for table realtime.messages;

-- The channel that a policy on realtime.messages is asked about.
create function realtime.topic() returns text
language sql stable
set search_path = ''
as $$
    select nullif(pg_catalog.current_setting('realtime.topic', true), '')::text
$$;

-- Broadcast a message. It never fails: what goes wrong becomes a warning, as on the platform. A payload
-- without an id gets that of its message, so that a receiver can tell repeats.
create function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void
language plpgsql
set search_path = ''
as $$
declare
    message_id uuid := pg_catalog.gen_random_uuid();
begin
    perform pg_catalog.set_config('realtime.topic', send.topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (
        message_id,
        case when send.payload ? 'id' then send.payload
            else pg_catalog.jsonb_set(send.payload, '{id}', pg_catalog.to_jsonb(message_id)) end,
        send.event, send.topic, send.private, 'broadcast'
    );
exception
    when others then
        raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- Broadcast a changed row from a trigger. This one does fail, and aborts the change with it.
create function realtime.broadcast_changes(
    topic_name text,
    event_name text,
    operation text,
    table_name text,
    table_schema text,
    new record,
    old record,
    level text default 'ROW'
)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if broadcast_changes.level = 'STATEMENT' then
        raise exception 'function can only be triggered for each row, not for each statement';
    end if;
    if broadcast_changes.operation not in ('INSERT', 'UPDATE', 'DELETE') then
        raise exception 'unknown operation %', broadcast_changes.operation;
    end if;
    perform realtime.send(
        pg_catalog.jsonb_build_object(
            'schema', broadcast_changes.table_schema,
            'table', broadcast_changes.table_name,
            'operation', broadcast_changes.operation,
            'record', case when broadcast_changes.operation <> 'DELETE'
                then pg_catalog.to_jsonb(broadcast_changes.new) end,
            'old_record', case when broadcast_changes.operation <> 'INSERT'
                then pg_catalog.to_jsonb(broadcast_changes.old) end
        ),
        broadcast_changes.event_name,
        broadcast_changes.topic_name,
        true
    );
exception
    when others then
        raise exception 'ERROR: %', sqlerrm;
end
$$;

grant execute on function
    realtime.topic(),
    realtime.send(jsonb, text, text, boolean),
    realtime.broadcast_changes(text, text, text, text, text, record, record, text)
to anon, authenticated, service_role, postgres;

-- postgres makes policies on the table because it is a member of the owner; the schema stays closed to it.
alter function realtime.topic() owner to supabase_realtime_admin;
alter function realtime.send(jsonb, text, text, boolean) owner to supabase_realtime_admin;
alter function realtime.broadcast_changes(text, text, text, text, text, record, record, text)
    owner to supabase_realtime_admin;
