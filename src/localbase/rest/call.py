"""SQL that calls a function."""

from collections.abc import Sequence
from functools import lru_cache

from localbase.rest.arguments import Arguments
from localbase.rest.catalog import Parameter, Routine
from localbase.rest.fragment import Fragment, Value, checked, fragment, joined, name, trusted
from localbase.rest.matching import takes_whole_body
from localbase.rest.media import PLAIN_JSON, Media
from localbase.rest.query import STAR
from localbase.rest.statement import COUNTED, NO_BODY, ONE, Call, answer, body

Given = tuple[Parameter, ...]
_EVERYTHING: tuple[str, ...] = (STAR,)


def plain_call(routine: Routine, arguments: Arguments, max_rows: int | None) -> Call:
    """A call whose whole result is the answer, as JSON: what nearly all calls are."""
    given, values = _bound(routine, arguments)
    return Call(_plain_statement(routine, given, _form(routine, arguments), max_rows), values)


def called(routine: Routine, arguments: Arguments, columns: Sequence[str]) -> Fragment:
    """The call as something to read these columns from."""
    given, values = _bound(routine, arguments)
    source = _source(routine, given, _form(routine, arguments), tuple(columns))
    return Fragment(source.text, values)


def result_body(routine: Routine, media: Media) -> Fragment:
    if routine.void:
        return NO_BODY
    return body(media, scalar=not routine.composite, single=not routine.set_returning)


def result_page(routine: Routine) -> Fragment:
    """A function that gives one result gives one, even where a filter leaves nothing of it."""
    return COUNTED if routine.set_returning else ONE


def _form(routine: Routine, arguments: Arguments) -> str:
    """How the arguments are handed over: the body whole, as a JSON document, or one by one."""
    if takes_whole_body(routine, arguments):
        return "whole"
    if arguments.document is not None and arguments.names & {one.name for one in routine.parameters}:
        return "many" if arguments.many else "document"
    return "values"


def _bound(routine: Routine, arguments: Arguments) -> tuple[Given, tuple[Value, ...]]:
    """The parameters that are given, and what is bound for them."""
    given = tuple(parameter for parameter in routine.parameters if parameter.name in arguments.names)
    form = _form(routine, arguments)
    if form == "whole":
        return routine.parameters, (checked(arguments.raw or ""),)
    if form != "values":
        return given, (checked(arguments.document or ""),)
    values = arguments.values or {}
    # All values for a variadic parameter, else the last one.
    return given, tuple(
        checked(list(values[parameter.name]) if parameter.variadic else values[parameter.name][-1])
        for parameter in given
    )


# The statements of a function are few and its calls many.
@lru_cache(maxsize=1024)
def _plain_statement(routine: Routine, given: Given, form: str, max_rows: int | None) -> bytes:
    source = _source(routine, given, form, _EVERYTHING)
    limit = "" if max_rows is None else f" limit {max_rows}"
    rows = fragment("select * from pgrst_source{}", trusted(limit))
    return answer(source, rows, result_body(routine, PLAIN_JSON), page=result_page(routine)).as_bytes()


@lru_cache(maxsize=1024)
def _source(routine: Routine, given: Given, form: str, columns: tuple[str, ...]) -> Fragment:
    """The call with its placeholders; the values come with each request."""
    match form:
        case "whole":
            return _select(routine, columns, _placeholder(given[0]), None)
        case "values":
            return _select(routine, columns, _named(given, [_placeholder(one) for one in given]), None)
    reader = "json_to_recordset" if form == "many" else "json_to_record"
    source = fragment(
        "(select * from {}({}) as given({}) limit 1) as given",
        name("pg_catalog", reader),
        Fragment("%s::json"),
        joined(", ", (fragment("{} {}", name(one.name), trusted(one.type)) for one in given)),
    )
    return _select(routine, columns, _named(given, [name("given", one.name) for one in given]), source)


def _placeholder(parameter: Parameter) -> Fragment:
    return fragment("{}::{}", Fragment("%s"), trusted(parameter.type))


def _named(given: Given, values: list[Fragment]) -> Fragment:
    return joined(
        ", ",
        (
            fragment("variadic {} := {}" if parameter.variadic else "{} := {}", name(parameter.name), value)
            for parameter, value in zip(given, values, strict=True)
        ),
    )


def _select(
    routine: Routine, columns: tuple[str, ...], arguments: Fragment, source: Fragment | None
) -> Fragment:
    call = fragment("{}({})", name(routine.schema, routine.name), arguments)
    if not routine.composite:
        given = fragment("") if source is None else fragment(" from {}", source)
        return fragment("select {} as pgrst_scalar{}", call, given)
    shown = (fragment("pgrst_call.*") if one == STAR else name("pgrst_call", one) for one in columns)
    sources = [part for part in (source, call) if part is not None]
    return fragment("select {} from {} as pgrst_call", joined(", ", shown), joined(", lateral ", sources))
