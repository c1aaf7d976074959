-- What the Data API knows of the database: one JSON document, read at start and after each change.
-- Parameters: the exposed schemas.
with exposed as (
    select n.oid, n.nspname
    from pg_catalog.pg_namespace as n
    where n.nspname = any (%(schemas)s)
),

parameters as (
    select
        p.oid,
        arg.position,
        coalesce(nullif(p.proargnames[arg.place], ''), '') as name,
        -- A bare bit or character means a length of one, which no argument has.
        case pg_catalog.format_type(arg.type, null)
            when 'bit' then 'bit varying'
            when 'bit[]' then 'bit varying[]'
            when 'character' then 'character varying'
            when 'character[]' then 'character varying[]'
            else pg_catalog.format_type(arg.type, null)
        end as type,
        arg.position <= p.pronargs - p.pronargdefaults as required,
        coalesce(p.proargmodes[arg.place] = 'v', false) as is_variadic
    from pg_catalog.pg_proc as p
    cross join lateral (
        select
            every.type,
            every.place,
            pg_catalog.row_number() over (order by every.place) as position
        from
            unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as every (type, place)
        where coalesce(p.proargmodes[every.place], 'i') in ('i', 'b', 'v')
    ) as arg
    where p.pronamespace in (select oid from exposed)
),

signatures as (
    select
        oid,
        json_agg(
            json_build_object('name', name, 'type', type, 'required', required, 'variadic', is_variadic)
            order by position
        ) as parameters,
        -- Without names there can be one argument only, taken from the request's body.
        count(*) filter (where name = '') = 0
        or (count(*) = 1 and min(type) in ('bytea', 'json', 'jsonb', 'text', 'xml')) as callable
    from parameters
    group by oid
),

routines as (
    select
        s.nspname as schema,
        p.proname as name,
        coalesce(signature.parameters, '[]') as parameters,
        p.provolatile = 'v' as volatile,
        p.proretset as set_returning,
        result.typname = 'void' as void,
        result.typtype = 'c'
        or base.typtype = 'c'
        or coalesce(p.proargmodes::text[] && '{t,b,o}', false) as composite,
        coalesce(
            (
                select json_object_agg(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1))
                from unnest(p.proconfig) as setting
                where split_part(setting, '=', 1) in ('statement_timeout', 'default_transaction_isolation')
            ), '{}'
        ) as settings
    from pg_catalog.pg_proc as p
    inner join exposed as s on p.pronamespace = s.oid
    inner join pg_catalog.pg_type as result on p.prorettype = result.oid
    left join pg_catalog.pg_type as base on result.typbasetype = base.oid
    left join signatures as signature on p.oid = signature.oid
    where p.prokind = 'f'
      and p.prorettype <> 'pg_catalog.trigger'::regtype
      and coalesce(signature.callable, true)
),

relations as (
    select s.nspname as schema, c.relname as name
    from pg_catalog.pg_class as c
    inner join exposed as s on c.relnamespace = s.oid
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
),

-- Settings of the roles a request may act as, as `alter role … set` left them.
role_settings as (
    select
        r.rolname as role,
        json_object_agg(split_part(made.setting, '=', 1), substr(made.setting, strpos(made.setting, '=') + 1)) as settings
    from pg_catalog.pg_roles as r
    inner join pg_catalog.pg_db_role_setting as s on r.oid = s.setrole and s.setdatabase = 0
    cross join unnest(s.setconfig) as made (setting)
    inner join pg_catalog.pg_settings as known on split_part(made.setting, '=', 1) = known.name
    where pg_catalog.pg_has_role(current_user, r.oid, 'member')
      and r.rolname <> current_user
      and known.context = 'user'
      and known.name not in ('default_transaction_isolation', 'default_transaction_read_only')
    group by r.rolname
)

select json_build_object(
    'routines', (select coalesce(json_agg(routines), '[]') from routines),
    'relations', (select coalesce(json_agg(relations), '[]') from relations),
    'roles', (select coalesce(json_object_agg(role, settings), '{}') from role_settings)
)
