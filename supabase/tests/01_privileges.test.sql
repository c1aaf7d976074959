-- Who may do what by the grants alone, then one table with its policies: the pattern for all others.

begin;

\ir helpers/actors.psql

select plan(10 + 7 * 7);

-- Grants ------------------------------------------------------------------------------------

create view pg_temp.granted as
select pg_class.oid, relname, relkind, nspname, grantee, coalesce(rolname, 'everyone') as role, privilege_type
from pg_catalog.pg_class
join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
cross join aclexplode(relacl)
left join pg_catalog.pg_roles on pg_roles.oid = grantee
where nspname in ('public', 'private') and grantee <> relowner;

select isnt_empty('select from pg_temp.granted', 'there are grants to look at');
select is_empty(
    'select * from pg_temp.granted where grantee = 0',
    'nothing is granted to everyone'
);
select is_empty(
    $$select * from pg_temp.granted where relkind <> 'S' and privilege_type <> 'SELECT'$$,
    'tables and views are read, not written'
);
select is_empty(
    $$select * from pg_temp.granted where relkind = 'S'$$,
    'sequences are used by identity columns alone'
);
select is_empty(
    $$select attrelid::regclass, attname, privilege_type
    from pg_catalog.pg_attribute join pg_catalog.pg_class on pg_class.oid = attrelid cross join aclexplode(attacl)
    where relnamespace in ('public'::regnamespace, 'private'::regnamespace)$$,
    'no column has rights of its own'
);

-- What a later migration makes is closed until it says otherwise.
create table public.brand_new (id bigint generated always as identity);
create sequence public.brand_new_numbers;
create function public.brand_new() returns integer language sql set search_path = '' as 'select 1';
create function private.brand_new() returns integer language sql set search_path = '' as 'select 1';

create temporary view api_roles as
select role from unnest(array['anon', 'authenticated', 'service_role']) as role;

select is_empty(
    $$select role, verb from api_roles, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as verb
    where has_table_privilege(role, 'public.brand_new', verb)$$,
    'a new table is closed'
);
select is_empty(
    $$select role from api_roles where has_any_column_privilege(role, 'public.brand_new', 'select, insert, update')$$,
    'a new table''s columns are closed'
);
select is_empty(
    $$select role from api_roles where has_sequence_privilege(role, 'public.brand_new_numbers', 'usage, select, update')$$,
    'a new sequence is closed'
);
select is_empty(
    $$select role from api_roles where has_function_privilege(role, 'public.brand_new()', 'execute')$$,
    'a new function in public is closed'
);
select is_empty(
    $$select role from api_roles where has_function_privilege(role, 'private.brand_new()', 'execute')$$,
    'a new function in private is closed'
);

-- Jobs --------------------------------------------------------------------------------------

select is(
    tests.seen(actor, $$select metadata ->> 'name' from public.jobs where metadata ? 'name'$$),
    expected,
    format('jobs, select: %s', actor)
)
from (
    values
        ('nobody', ''),
        ('anonymous', 'address'),
        ('user', 'user'),
        ('watcher', 'watched'),
        ('service_account', 'address, other address, other user, user, watched'),
        ('admin', 'address, other address, other user, user, watched'),
        ('service_key', 'address, other address, other user, user, watched')
) as matrix (actor, expected);

-- Who is no backend creates jobs as what the request proves, whatever the arguments say.
select alike(
    tests.seen(
        actor,
        $$select concat_ws(' at ', user_id, client_ip) from public.create_job(
            'mp4', 64, 64, user_id => '00000000-0000-4000-8000-00000000000b', client_ip => '203.0.113.8'
        )$$
    ),
    expected,
    format('jobs, create for somebody else: %s', actor)
)
from (
    values
        ('nobody', 'refused: %'),
        ('anonymous', '203.0.113.7'),
        ('user', '00000000-0000-4000-8000-00000000000a at 203.0.113.7'),
        ('watcher', 'refused: %'),
        ('service_account', '00000000-0000-4000-8000-00000000000b at 203.0.113.8'),
        ('admin', '00000000-0000-4000-8000-00000000000b at 203.0.113.8'),
        ('service_key', '00000000-0000-4000-8000-00000000000b at 203.0.113.8')
) as matrix (actor, expected);

select is(
    tests.attempt(
        actor,
        $$insert into public.jobs (output_format, width, height, created_at) values ('mp4', 64, 64, 'epoch')$$
    ),
    'refused: 42501',
    format('jobs, insert what the database decides: %s', actor)
)
from tests.actors order by place;

select is(
    tests.attempt(actor, $$update public.jobs set progress_percentage = progress_percentage where metadata ? 'name'$$),
    'refused: 42501',
    format('jobs, update: %s', actor)
)
from tests.actors order by place;

select is(
    tests.attempt(actor, $$update public.jobs set user_id = null where metadata ? 'name'$$),
    'refused: 42501',
    format('jobs, update what nobody changes: %s', actor)
)
from tests.actors order by place;

select is(
    tests.attempt(actor, $$delete from public.jobs where metadata ? 'name'$$),
    'refused: 42501',
    format('jobs, delete: %s', actor)
)
from tests.actors order by place;

select is(
    tests.attempt(actor, 'truncate public.jobs cascade'),
    'refused: 42501',
    format('jobs, truncate: %s', actor)
)
from tests.actors order by place;

select * from finish();
rollback;
