-- The schema as a whole: closed by default, documented, and built as it should be. Every statement asks the
-- catalogue, so whatever a migration adds is held to the same.

begin;

select plan(35);

-- Ours are the schemas public and private, without what extensions put there.
create view pg_temp.our_relations as
select c.oid::regclass::text as name, c.*
from pg_catalog.pg_class as c
where relnamespace in ('public'::regnamespace, 'private'::regnamespace)
    and not exists (select from pg_catalog.pg_depend where classid = c.tableoid and objid = c.oid and deptype = 'e');

create view pg_temp.our_functions as
select p.oid::regprocedure::text as name, nspname as schema, p.*
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = pronamespace
where nspname in ('public', 'private')
    and not exists (select from pg_catalog.pg_depend where classid = p.tableoid and objid = p.oid and deptype = 'e');

create view pg_temp.our_types as
select t.oid::regtype::text as name, t.*
from pg_catalog.pg_type as t
where typnamespace in ('public'::regnamespace, 'private'::regnamespace)
    and not exists (select from pg_catalog.pg_depend where classid = t.tableoid and objid = t.oid and deptype in ('e', 'i'));

select isnt_empty('select from pg_temp.our_relations', 'there are relations to look at');
select isnt_empty('select from pg_temp.our_functions', 'there are functions to look at');
select isnt_empty('select from pg_temp.our_types', 'there are types to look at');

-- Tables ------------------------------------------------------------------------------------

select is_empty(
    $$select name from pg_temp.our_relations where relkind in ('r', 'p') and not relrowsecurity$$,
    'every table has row-level security'
);
select is_empty(
    $$select name from pg_temp.our_relations
    where relkind in ('r', 'p') and coalesce(obj_description(oid, 'pg_class'), '') = ''$$,
    'every table has a comment'
);
select is_empty(
    $$select name from pg_temp.our_relations
    where relkind in ('r', 'p') and not exists (
        select from pg_catalog.pg_index where indrelid = our_relations.oid and indisprimary
    )$$,
    'every table has a primary key'
);
select is_empty(
    $$select name from pg_temp.our_relations where relkind in ('r', 'p') and relpersistence <> 'p'$$,
    'every table survives a crash'
);
select is_empty(
    $$select name, conname from pg_temp.our_relations join pg_catalog.pg_constraint on conrelid = our_relations.oid
    where not convalidated$$,
    'every constraint holds for every row'
);
select is_empty(
    $$select name, conname from pg_temp.our_relations join pg_catalog.pg_constraint on conrelid = our_relations.oid
    where contype = 'f' and not exists (
        select from pg_catalog.pg_index
        where indrelid = conrelid and (indkey::smallint[])[0:cardinality(conkey) - 1] @> conkey
    )$$,
    'every foreign key has an index'
);
select is_empty(
    $$select name, attname from pg_temp.our_relations join pg_catalog.pg_attribute on attrelid = our_relations.oid
    where attnum > 0 and not attisdropped and relkind in ('r', 'p')
        and atttypid in ('timestamp'::regtype, 'time'::regtype, 'json'::regtype, 'money'::regtype, 'char'::regtype)$$,
    'no column has a type without a time zone, json for jsonb, or money'
);

-- Views -------------------------------------------------------------------------------------

select is_empty(
    $$select name from pg_temp.our_relations
    where relkind = 'v' and not coalesce(reloptions::text[] && array['security_invoker=true', 'security_invoker=on'], false)$$,
    'every view reads with its caller''s rights'
);
select is_empty(
    $$select name from pg_temp.our_relations
    where relkind in ('v', 'm') and coalesce(obj_description(oid, 'pg_class'), '') = ''$$,
    'every view has a comment'
);
select is_empty(
    $$select name from pg_temp.our_relations where relkind in ('m', 'f') and relnamespace = 'public'::regnamespace$$,
    'no materialized view and no foreign table is in public, where row-level security would not guard it'
);

-- Policies ----------------------------------------------------------------------------------

select is_empty(
    $$select name, polname from pg_temp.our_relations join pg_catalog.pg_policy on polrelid = our_relations.oid
    where 0 = any (polroles)$$,
    'every policy says for which roles it is'
);
select is_empty(
    $$select name, polname from pg_temp.our_relations join pg_catalog.pg_policy on polrelid = our_relations.oid
    where polname !~ '^[A-Z].* .'$$,
    'every policy''s name is a sentence'
);
select is_empty(
    $$select name, polname from pg_temp.our_relations join pg_catalog.pg_policy on polrelid = our_relations.oid
    where concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~ 'user_metadata'$$,
    'no policy reads what users write about themselves'
);

-- Functions ---------------------------------------------------------------------------------

select is_empty(
    $$select name from pg_temp.our_functions where not coalesce('search_path=""' = any (proconfig), false)$$,
    'every function has an empty search_path'
);
select is_empty(
    $$select name from pg_temp.our_functions where coalesce(obj_description(oid, 'pg_proc'), '') = ''$$,
    'every function has a comment'
);
select is_empty(
    $$select name from pg_temp.our_functions where prosecdef and schema = 'public'$$,
    'no function in public has more rights than its caller'
);
select is_empty(
    -- No ACL at all is Postgres's default: everyone may. The grantee 0 is everyone, too.
    $$select name from pg_temp.our_functions
    where proacl is null or exists (select from aclexplode(proacl) where grantee = 0)$$,
    'nobody may execute a function by default'
);
select is_empty(
    $$select name from pg_temp.our_functions where schema = 'public' and prorettype in ('trigger'::regtype, 'event_trigger'::regtype)$$,
    'no trigger function is in public, where the API shows it'
);
select is_empty(
    $$select schema, proname from pg_temp.our_functions group by schema, proname having count(*) > 1$$,
    'no function is overloaded: the API calls them by name'
);
select is_empty(
    $$select name from pg_temp.our_functions
    where schema = 'public' and pronargs > 0 and (proargnames is null or '' = any (proargnames))$$,
    'every argument of a public function has a name'
);
select is_empty(
    -- The Data API tries these again for ever.
    $$select name from pg_temp.our_functions where prosrc ~* '40001|40P01|serialization_failure|deadlock_detected'$$,
    'no function raises or swallows a serialization failure or a deadlock'
);

-- Types -------------------------------------------------------------------------------------

select is_empty(
    $$select name from pg_temp.our_types
    where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')
        and coalesce(obj_description(oid, 'pg_type'), '') = ''
    union all
    select name from pg_temp.our_relations
    where relnamespace = 'public'::regnamespace and relkind = 'c'
        and coalesce(obj_description(reltype, 'pg_type'), '') = ''$$,
    'every enum, domain and composite type that the API shows has a comment'
);
select enum_has_labels('public', type, labels, format('%s has the platform''s values, in its order', type))
from (
    values
        ('job_status', array['pending', 'processing', 'completed', 'failed', 'cancelled', 'timeout']),
        ('element_type', array['video', 'image', 'audio', 'text', 'overlay']),
        ('fit_mode', array['auto', 'contain', 'cover', 'fill', 'stretch']),
        (
            'processing_step',
            array['validation', 'download', 'processing', 'composition', 'encoding', 'upload', 'cleanup']
        ),
        ('storage_operation', array['upload', 'download', 'delete', 'access']),
        ('response_type', array['immediate', 'async'])
) as enums (type, labels);

-- Triggers, extensions, publication ---------------------------------------------------------

select is_empty(
    $$select name, tgname from pg_temp.our_relations join pg_catalog.pg_trigger on tgrelid = our_relations.oid
    where not tgisinternal and tgenabled <> 'O'$$,
    'every trigger is on'
);
select is_empty(
    $$select extname from pg_catalog.pg_extension
    where extnamespace in ('public'::regnamespace, 'private'::regnamespace)$$,
    'no extension is in public or private'
);
select is_empty(
    $$select tablename from pg_catalog.pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'private'$$,
    'nothing private is published'
);
select is_empty(
    $$select 1 where has_schema_privilege('anon', 'private', 'create')
        or has_schema_privilege('authenticated', 'private', 'create')
        or has_schema_privilege('service_role', 'private', 'create')
        or has_schema_privilege('anon', 'public', 'create')
        or has_schema_privilege('authenticated', 'public', 'create')
        or has_schema_privilege('service_role', 'public', 'create')$$,
    'no role of the API creates anything'
);

select * from finish();
rollback;
