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
        -- The table whose rows it returns, which lends its name and its relationships.
        coalesce(row_type.relname, '') as returns_table,
        -- A domain named like a media type says what the result is.
        case when result.typtype = 'd' and pg_catalog.strpos(result.typname, '/') > 0 then result.typname end as media_type,
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
    left join pg_catalog.pg_class as row_type on result.typrelid = row_type.oid and row_type.relkind <> 'c'
    left join signatures as signature on p.oid = signature.oid
    where p.prokind = 'f'
      and p.prorettype <> 'pg_catalog.trigger'::regtype
      and coalesce(signature.callable, true)
),

-- Tables of other schemas count too: junctions may lie in them, and views come from them.
tables as (
    select
        c.oid,
        s.nspname as schema,
        c.relname as name,
        c.relkind in ('v', 'm') as is_view,
        -- What a view lets through: inserts are worth 8, updates 4, deletes 16.
        case c.relkind when 'r' then 28 when 'p' then 28 else pg_catalog.pg_relation_is_updatable(c.oid, true) end as accepts
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as s on c.relnamespace = s.oid
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
      and not c.relispartition
      and s.nspname !~ '^pg_'
      and s.nspname <> 'information_schema'
),

columns as (
    select
        a.attrelid,
        json_agg(
            json_build_object(
                'name', a.attname,
                'number', a.attnum,
                'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                'default', case
                    when a.attidentity = 'd' then pg_catalog.format(
                        'nextval(%%L)', pg_catalog.pg_get_serial_sequence(a.attrelid::regclass::text, a.attname)
                    )
                    when a.attgenerated <> '' then null
                    when d.adbin is null and t.typbasetype <> 0 then pg_catalog.pg_get_expr(t.typdefaultbin, 0)
                    else pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                end
            ) order by a.attnum
        ) as listed
    from pg_catalog.pg_attribute as a
    inner join tables on a.attrelid = tables.oid
    inner join pg_catalog.pg_type as t on a.atttypid = t.oid
    left join pg_catalog.pg_attrdef as d on a.attrelid = d.adrelid and a.attnum = d.adnum
    where a.attnum > 0 and not a.attisdropped
    group by a.attrelid
),

keys as (
    select
        k.conrelid,
        json_agg(k.conkey) filter (where k.contype = 'p') -> 0 as primary_key,
        json_agg(k.conkey) as all_keys
    from pg_catalog.pg_constraint as k
    where k.contype in ('p', 'u')
    group by k.conrelid
),

relations as (
    select
        tables.oid::bigint as oid,
        tables.schema,
        tables.name,
        tables.schema in (select nspname from exposed) as exposed,
        tables.is_view,
        tables.accepts & 8 <> 0 as insertable,
        tables.accepts & 4 <> 0 as updatable,
        tables.accepts & 16 <> 0 as deletable,
        coalesce(columns.listed, '[]') as columns,
        coalesce(keys.primary_key, '[]') as primary_key,
        coalesce(keys.all_keys, '[]') as keys,
        -- The stored form of a view, which says what table and column each of its own comes from.
        case when tables.is_view then r.ev_action::text end as rule
    from tables
    left join columns on tables.oid = columns.attrelid
    left join keys on tables.oid = keys.conrelid
    left join pg_catalog.pg_rewrite as r on tables.oid = r.ev_class and r.rulename = '_RETURN'
),

foreign_keys as (
    select
        k.conname as name,
        k.conrelid::bigint as source,
        k.conkey as source_columns,
        k.confrelid::bigint as target,
        k.confkey as target_columns
    from pg_catalog.pg_constraint as k
    where k.contype = 'f' and k.conparentid = 0
    order by k.conrelid, k.conname
),

-- Functions of one row that give related rows: relationships in themselves.
computed as (
    select
        p.pronamespace::regnamespace::text as schema,
        p.proname as name,
        argument.typrelid::bigint as source,
        result.typrelid::bigint as target,
        not p.proretset or p.prorows = 1 as to_one
    from pg_catalog.pg_proc as p
    inner join pg_catalog.pg_type as argument on p.proargtypes[0] = argument.oid
    inner join pg_catalog.pg_type as result on p.prorettype = result.oid
    where p.pronamespace in (select oid from exposed)
      and p.pronargs = 1
      and argument.typrelid in (select oid from tables) and result.typrelid in (select oid from tables)
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
    'foreign_keys', (select coalesce(json_agg(foreign_keys), '[]') from foreign_keys),
    'computed', (select coalesce(json_agg(computed), '[]') from computed),
    'roles', (select coalesce(json_object_agg(role, settings), '{}') from role_settings)
)
