-- The schemas of a Supabase project and who may use them. Run in each new database, as supabase_admin.

-- New tables and functions in public get no grants from here: each migration grants what it exposes.
grant usage on schema public to anon, authenticated, service_role;

create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;

-- Managed schemas: postgres may use what is in them and create nothing.
create schema auth authorization supabase_admin;
grant usage on schema auth to anon, authenticated, service_role, postgres;
grant all on schema auth to supabase_auth_admin;

create schema storage authorization supabase_admin;
grant usage on schema storage to anon, authenticated, service_role, postgres;
grant all on schema storage to supabase_storage_admin;

create schema graphql_public authorization supabase_admin;
grant usage on schema graphql_public to anon, authenticated, service_role, postgres;

-- Tables whose changes Realtime delivers. Empty at first; migrations add to it.
create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;
