"""How functions are called on a connection: with the statements that the Data API would make.

What PostgREST knows of a function, its parameters' types and the form of its result, is looked up once in the
database's catalog. Arguments then become values of those types as PostgREST makes them, so that both refuse
the same ones with the same words, and results become the same JSON.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from reelbase.errors import Answer, CallRefused

LOOKUP = """
select
    routine.proretset,
    routine.prorettype = 'pg_catalog.void'::pg_catalog.regtype,
    result.typtype = 'c'
        or routine.prorettype = 'pg_catalog.record'::pg_catalog.regtype
        or coalesce(routine.proargmodes::text[] && '{o,b,t}', false),
    array(
        select array[parameter.name, pg_catalog.format('%%I.%%I', nspname, typname)]
        from unnest(
            routine.proargnames,
            coalesce(routine.proallargtypes, routine.proargtypes::pg_catalog.oid[]),
            routine.proargmodes::text[]
        ) with ordinality as parameter (name, type, mode, place)
        join pg_catalog.pg_type on pg_type.oid = parameter.type
        join pg_catalog.pg_namespace on pg_namespace.oid = typnamespace
        where coalesce(parameter.mode, 'i') in ('i', 'b', 'v')
        order by parameter.place
    )
from pg_catalog.pg_proc as routine
join pg_catalog.pg_type as result on result.oid = routine.prorettype
where routine.proname = %s
    and routine.pronamespace = 'public'::pg_catalog.regnamespace
    and routine.prokind = 'f'
"""
"""Takes a function's name; one row for each function in `public` that has it."""

# The function, a cast or a type is not what it was.
_CHANGED = {"42883", "42846", "42704"}

# The number of the transaction, once it has changed something, comes along with each result: it finds out
# what became of a commit whose answer was lost.
_CALL = sql.SQL(
    "select {answer}, pg_catalog.pg_current_xact_id_if_assigned()::text "
    "from (select result.* from {source}{name}({arguments}) as result) as answer"
)


@dataclass(frozen=True, slots=True)
class Routine:
    """A function: whether it returns a set, nothing, or rows; and its parameters' types by their names."""

    name: str
    is_set: bool
    is_void: bool
    has_rows: bool
    parameters: dict[str, str]

    def statement(self, given: Collection[str]) -> sql.Composed:
        """Call it with these arguments, a JSON object that is the statement's one value, if there are any."""
        answer: sql.Composable = sql.SQL("null::jsonb" if self.is_void else "to_jsonb(answer)")
        if not (self.is_void or self.has_rows):
            answer = sql.SQL("to_jsonb(answer.result)")
        if self.is_set:
            answer = sql.SQL("coalesce(jsonb_agg({}), '[]')").format(answer)
        return _CALL.format(
            answer=answer,
            source=self._source(given) if given else sql.SQL(""),
            name=sql.Identifier("public", self.name),
            arguments=sql.SQL(", ").join(
                sql.SQL("{0} => given.{0}").format(sql.Identifier(name)) for name in given
            ),
        )

    def _source(self, given: Collection[str]) -> sql.Composed:
        # The types' names come from the catalog, quoted.
        columns = (
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(self.parameters[name]))  # pyright: ignore[reportArgumentType]
            for name in given
        )
        return sql.SQL("pg_catalog.json_to_record({}::json) as given ({}), ").format(
            sql.Placeholder(), sql.SQL(", ").join(columns)
        )


class Catalog:
    """The functions that have been called so far. Threads may share it: what is learnt twice is the same."""

    def __init__(self) -> None:
        self._routines: dict[str, Routine] = {}
        self._statements: dict[tuple[str, ...], bytes] = {}

    def knows(self, function: str) -> bool:
        return function in self._routines

    def learn(self, function: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """From the rows of LOOKUP. Raises CallRefused, as the Data API does, when there is no such one."""
        if len(rows) != 1:
            raise _not_found(function, "" if not rows else f"; there are {len(rows)} of the name")
        is_set, is_void, has_rows, parameters = rows[0]
        self._routines[function] = Routine(
            function, bool(is_set), bool(is_void), bool(has_rows), dict(parameters)
        )

    def statement(self, function: str, given: Collection[str]) -> bytes:
        """How the function is called with these arguments. Raises CallRefused when it does not take them."""
        key = (function, *given)
        if key not in self._statements:
            routine = self._routines[function]
            unknown = [name for name in given if name not in routine.parameters]
            if unknown:
                raise _not_found(f"{function}({', '.join(given)})", f"; it has no {', '.join(unknown)}")
            self._statements[key] = routine.statement(given).as_bytes()
        return self._statements[key]

    def doubt(self, function: str, sqlstate: str | None) -> None:
        """Forget a function that seems to have changed since."""
        if sqlstate in _CHANGED:
            self._routines.pop(function, None)
            self._statements = {key: text for key, text in self._statements.items() if key[0] != function}


def _not_found(function: str, why: str) -> CallRefused:
    return CallRefused(
        Answer(
            f"Could not find the function public.{function} in the database{why}.",
            sqlstate="PGRST202",
            status=404,
            hint="Check that the database has the migrations of this client's version.",
        )
    )
