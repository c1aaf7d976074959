"""What there is in a database, read from the catalogue without naming any object."""

from dataclasses import dataclass

from database.servers import Session

# Every object is in pg_depend or, for its owner's or a grantee's sake, in pg_shdepend. Left out are names
# that hold an oid (of toast tables, of the triggers behind constraints): they come and go with their tables.
_OBJECTS = """
    with objects as (
        select classid, objid from pg_catalog.pg_depend where objid > 0
        union
        select classid, objid from pg_catalog.pg_shdepend
        where dbid = (select oid from pg_catalog.pg_database where datname = current_database())
    ), named as (
        select classid, objid, type || ' ' || identity as name
        from objects, pg_catalog.pg_identify_object(classid, objid, 0)
        where schema is distinct from 'pg_toast' and identity !~ 'pg_toast_|_ConstraintTrigger_'
    )
    select named.name, array(
        select distinct owners.name
        from pg_catalog.pg_depend as links
        join named as owners on owners.classid = links.refclassid and owners.objid = links.refobjid
        where links.classid = named.classid and links.objid = named.objid and links.deptype in ('a', 'i')
    )
    from named
"""

# What is said of objects. Those below 16384 came with the server.
_PROPERTIES = """
    with relations as (
        select oid::regclass::text as name, * from pg_catalog.pg_class
        where oid >= 16384 and relnamespace <> 'pg_toast'::regnamespace
    ), granted as (
        select tableoid, oid, 0 as part, nspacl as rights from pg_catalog.pg_namespace
        union all select tableoid, oid, 0, relacl from pg_catalog.pg_class
        union all select 'pg_class'::regclass, attrelid, attnum, attacl from pg_catalog.pg_attribute
        union all select tableoid, oid, 0, proacl from pg_catalog.pg_proc
        union all select tableoid, oid, 0, typacl from pg_catalog.pg_type
        union all select tableoid, oid, 0, defaclacl from pg_catalog.pg_default_acl
    )
    select concat_ws(' ', 'right', type, identity, item)
    from granted, unnest(rights) as item, pg_catalog.pg_identify_object(tableoid, oid, part)
    union all
    select concat_ws(' ', 'comment', type, identity, description)
    from pg_catalog.pg_description, pg_catalog.pg_identify_object(classoid, objoid, objsubid)
    where objoid >= 16384
    union all
    select concat_ws(' ', 'relation', name, relkind, relrowsecurity, relforcerowsecurity, reloptions)
    from relations
    union all
    select concat_ws(' ', 'column', name, attname, format_type(atttypid, atttypmod), attnotnull, attgenerated)
    from relations join pg_catalog.pg_attribute on attrelid = relations.oid
    where attnum > 0 and not attisdropped
    union all
    select concat_ws(' ', 'index', pg_get_indexdef(indexrelid))
    from relations join pg_catalog.pg_index on indrelid = relations.oid
    union all
    select concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid))
    from pg_catalog.pg_constraint where oid >= 16384
    union all
    select concat_ws(' ', 'trigger', pg_get_triggerdef(oid)) from pg_catalog.pg_trigger where not tgisinternal
    union all
    select concat_ws(' ', 'policy', schemaname, tablename, policyname, roles, cmd, qual, with_check)
    from pg_catalog.pg_policies
    union all
    select concat_ws(' ', 'body', oid::regprocedure, md5(pg_get_functiondef(oid)))
    from pg_catalog.pg_proc where oid >= 16384 and prokind in ('f', 'p')
    union all
    select concat_ws(' ', 'view', schemaname, viewname, md5(definition)) from pg_catalog.pg_views
    union all
    select concat_ws(' ', 'enum', enumtypid::regtype, enumlabel)
    from pg_catalog.pg_enum where enumtypid >= 16384
    union all
    select concat_ws(' ', 'published', pubname, schemaname, tablename, attnames)
    from pg_catalog.pg_publication_tables
    union all
    select concat_ws(' ', 'role', rolname) from pg_catalog.pg_roles
    union all
    select concat_ws(' ', 'member', member::regrole, roleid::regrole) from pg_catalog.pg_auth_members
    union all
    select concat_ws(' ', 'setting', setdatabase, setrole::regrole, setconfig)
    from pg_catalog.pg_db_role_setting
"""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Objects by name with what they are part of, and everything else that is said of them."""

    objects: dict[str, frozenset[str]]
    properties: frozenset[str]

    def since(self, before: "Catalogue") -> list[str]:
        """What came after `before`: objects, without their parts; if there are none, what is said of them."""
        new = {name: owners for name, owners in self.objects.items() if name not in before.objects}
        whole = sorted(name for name, owners in new.items() if not owners & new.keys())
        return whole or sorted(self.properties - before.properties)


def read(session: Session) -> Catalogue:
    """The whole catalogue, as text that can be compared between databases of one version."""
    # With nothing on the path every name is written in full.
    session.execute("set search_path = ''")
    objects = {name: frozenset(owners) for name, owners in session.execute(_OBJECTS).fetchall()}
    properties = frozenset(row[0] for row in session.execute(_PROPERTIES.encode()).fetchall())
    return Catalogue(objects, properties)
