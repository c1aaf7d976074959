"""SQL for fields, conditions and orders."""

from collections.abc import Callable
from functools import partial
from typing import LiteralString

from localbase.rest.fragment import EMPTY, Fragment, bound, clause, fragment, joined, name, trusted
from localbase.rest.plan import Child, Node
from localbase.rest.query import (
    STAR,
    Compare,
    Condition,
    Field,
    Filter,
    Group,
    In,
    Is,
    IsDistinct,
    JsonStep,
    Operation,
    OrderTerm,
    Search,
)
from localbase.rest.tables import Table

_OPERATORS: dict[str, LiteralString] = {
    "eq": "=",
    "gte": ">=",
    "gt": ">",
    "lte": "<=",
    "lt": "<",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "neq": "<>",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
_PATTERNS = ("like", "ilike")
_IS: dict[str, LiteralString] = {
    "null": "null",
    "not_null": "not null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
}
_SEARCHES: dict[str, LiteralString] = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
_QUANTIFIERS: dict[str | None, LiteralString] = {None: "{}", "any": "any ({})", "all": "all ({})"}
_DIRECTIONS: dict[str | None, LiteralString] = {None: "", "asc": " asc", "desc": " desc"}
_NULLS: dict[str | None, LiteralString] = {
    None: "",
    "nullsfirst": " nulls first",
    "nullslast": " nulls last",
}
_JSON = ("json", "jsonb")


def column(at: tuple[str, ...], column_name: str) -> Fragment:
    return fragment("{}.*", name(*at)) if column_name == STAR else name(*at, column_name)


def column_type(table: Table | None, column_name: str) -> str | None:
    known = table.columns.get(column_name) if table else None
    return known.type if known else None


def field_value(at: tuple[str, ...], table: Table | None, field: Field) -> Fragment:
    """The column, or what its path leads to; what is no JSON is made JSON first."""
    value = column(at, field.name)
    if not field.steps:
        return value
    if column_type(table, field.name) not in _JSON:
        value = fragment("pg_catalog.to_jsonb({})", value)
    return fragment("{}{}", value, joined("", map(_step, field.steps)))


def _step(step: JsonStep) -> Fragment:
    operand = bound(str(step.operand))
    if isinstance(step.operand, int):
        operand = fragment("{}::int", operand)
    return fragment("->>{}" if step.as_text else "->{}", operand)


def where(node: Node, *others: Fragment) -> Fragment:
    conditions = [condition(node, found) for found in node.conditions]
    return clause(" where", " and ", (*conditions, *others))


def condition(node: Node, wanted: Condition) -> Fragment:
    """A condition on the rows of the node, some of it perhaps on the presence of embedded ones."""
    if isinstance(wanted, Group):
        return grouped(wanted, partial(condition, node))
    child = node.embedded_in(wanted)
    return _presence(child, wanted) if child else filtered(node.name, node.table, wanted)


def grouped(group: Group, member: Callable[[Condition], Fragment]) -> Fragment:
    separator: LiteralString = " and " if group.conjunction == "and" else " or "
    return fragment("not ({})" if group.negated else "({})", joined(separator, map(member, group.members)))


def _presence(child: Child, wanted: Filter) -> Fragment:
    # Unlike `is null`, this does not look into the row.
    template: LiteralString = "{} is distinct from null" if wanted.negated else "{} is not distinct from null"
    return fragment(template, name(child.alias))


def filtered(at: tuple[str, ...], table: Table | None, wanted: Filter) -> Fragment:
    value = field_value(at, table, wanted.field)
    if isinstance(wanted.operation, Search) and column_type(table, wanted.field.name) != "tsvector":
        value = fragment("pg_catalog.to_tsvector({}{})", _language(wanted.operation), value)
    return fragment("not {} {}" if wanted.negated else "{} {}", value, _operation(wanted.operation))


def _operation(operation: Operation) -> Fragment:
    match operation:
        case Compare(operator, value, quantifier):
            pattern = value.replace("*", "%") if operator in _PATTERNS else value
            operand = fragment(_QUANTIFIERS[quantifier], bound(pattern))
            return fragment(_OPERATORS[operator] + " {}", operand)
        case In(values):
            return fragment("= any ({})", bound("{}" if values == ("",) else _array(values)))
        case Is(value):
            return fragment("is " + _IS[value])
        case IsDistinct(value):
            return fragment("is distinct from {}", bound(value))
        case Search(operator, _, value):
            query = fragment("({}{})", _language(operation), bound(value))
            return fragment("@@ pg_catalog." + _SEARCHES[operator] + "{}", query)


def _language(search: Search) -> Fragment:
    return EMPTY if search.language is None else fragment("{}, ", bound(search.language))


def _array(values: tuple[str, ...]) -> str:
    """An array literal: as one value, it takes the type of what it is compared with."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def ordered(node: Node) -> Fragment:
    return clause(" order by", ", ", (_term(node, term) for term in node.order))


def _term(node: Node, term: OrderTerm) -> Fragment:
    if term.relation is None:
        value = field_value(node.name, node.table, term.field)
    else:
        child = node.child(term.relation)
        value = field_value((child.alias if child else term.relation,), None, term.field)
    return fragment("{}" + _DIRECTIONS[term.direction] + _NULLS[term.nulls], value)


def cast(value: Fragment, type_name: str | None) -> Fragment:
    # The grammar lets only letters, digits, blanks, `_` and `$` through; quoted, `int` would be no type.
    return value if type_name is None else fragment("cast({} as {})", value, trusted(type_name))
