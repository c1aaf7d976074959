-- The roles of a Supabase project. Run once in a cluster, as the superuser supabase_admin.

-- What the Data API acts as. They cannot log in; authenticator becomes one of them for each request.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit password 'postgres';
grant anon, authenticated, service_role to authenticator;

-- The owner of the project's own objects. Not a superuser, as on the hosted platform.
create role postgres login createrole createdb replication bypassrls password 'postgres';
grant anon, authenticated, service_role, authenticator, pg_monitor, pg_read_all_data, pg_signal_backend
    to postgres with admin option;

-- The owners of the managed schemas.
create role supabase_auth_admin login noinherit createrole password 'postgres';
create role supabase_storage_admin login noinherit createrole password 'postgres';
create role supabase_realtime_admin nologin noinherit;
grant supabase_realtime_admin to postgres;
grant authenticator to supabase_storage_admin;

-- Statement timeouts as on the hosted platform; the Data API applies those of the role it acts as.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';

alter role postgres set search_path = "$user", public, extensions;
alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = 60000;
alter role supabase_storage_admin set search_path = storage;
