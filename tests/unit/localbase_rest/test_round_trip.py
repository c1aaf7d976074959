"""What is read from a query string, written as one again, reads the same."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from localbase.rest.conditions import QUANTIFIABLE, SEARCHES, SIMPLE
from localbase.rest.query import (
    STAR,
    Compare,
    Condition,
    Embed,
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
    SelectField,
    SelectItem,
)
from localbase.rest.querystring import read_query

NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "count")
VALUES = st.text(max_size=8)
WORDS = st.sampled_from(["text", "int4", "simple", "english"])


def written(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def steps() -> st.SearchStrategy[tuple[JsonStep, ...]]:
    """An index stands where more follows: at the end of an item it could be a key."""
    inner = st.builds(JsonStep, st.booleans(), NAMES | st.integers(-99, 99))
    last = st.builds(JsonStep, st.booleans(), NAMES)
    return st.just(()) | st.tuples(st.lists(inner, max_size=2), last).map(lambda both: (*both[0], both[1]))


FIELDS = st.builds(Field, NAMES, steps())
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Compare, st.sampled_from(SIMPLE), VALUES),
    st.builds(Compare, st.sampled_from(QUANTIFIABLE), VALUES, st.sampled_from([None, "any", "all"])),
    st.builds(In, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
    st.builds(Is, st.sampled_from(["null", "not_null", "true", "false", "unknown"])),
    st.builds(IsDistinct, VALUES),
    st.builds(Search, st.sampled_from(SEARCHES), st.none() | WORDS, VALUES),
)
FILTERS = st.builds(Filter, FIELDS, OPERATIONS, st.booleans())


def groups(members: st.SearchStrategy[Condition]) -> st.SearchStrategy[Group]:
    listed = st.lists(members, min_size=1, max_size=3).map(tuple)
    return st.builds(Group, st.sampled_from(["and", "or"]), listed, st.booleans())


GROUPS = groups(st.recursive(FILTERS, groups, max_leaves=6))
ITEMS = st.recursive(
    st.just(SelectField(Field(STAR))) | st.builds(SelectField, FIELDS, st.none() | NAMES, st.none() | WORDS),
    lambda items: (
        st.builds(
            Embed,
            NAMES,
            st.lists(items, max_size=3).map(tuple),
            st.none() | NAMES,
            st.none() | NAMES,
            st.sampled_from([None, "left", "inner"]),
        )
        | st.builds(Embed, NAMES, st.lists(items, max_size=2).map(tuple), spread=st.just(True))
    ),
    max_leaves=8,
)
TERMS = st.builds(
    OrderTerm,
    FIELDS,
    st.sampled_from([None, "asc", "desc"]),
    st.sampled_from([None, "nullsfirst", "nullslast"]),
    st.none() | NAMES,
)


def field(one: Field) -> str:
    path = (
        ("->>" if step.as_text else "->")
        + (str(step.operand) if isinstance(step.operand, int) else written(step.operand))
        for step in one.steps
    )
    return written(one.name) + "".join(path)


def operation(one: Operation) -> str:
    match one:
        case Compare(operator, value, quantifier):
            return f"{operator}{f'({quantifier})' if quantifier else ''}.{written(value)}"
        case In(values):
            return f"in.({','.join(map(written, values))})"
        case Is(value):
            return f"is.{value}"
        case IsDistinct(value):
            return f"isdistinct.{written(value)}"
        case Search(operator, language, value):
            return f"{operator}{f'({language})' if language else ''}.{written(value)}"


def condition(one: Condition) -> str:
    negation = "not." if one.negated else ""
    match one:
        case Filter():
            return f"{field(one.field)}.{negation}{operation(one.operation)}"
        case Group():
            return f"{negation}{one.conjunction}({','.join(map(condition, one.members))})"


def item(one: SelectItem) -> str:
    alias = f"{written(one.alias)}:" if one.alias else ""
    match one:
        case SelectField():
            if one == SelectField(Field(STAR)):
                return STAR
            return alias + field(one.field) + (f"::{one.cast}" if one.cast else "")
        case Embed():
            name = ("..." if one.spread else alias) + written(one.relation)
            hint = f"!{written(one.hint)}" if one.hint else ""
            join = f"!{one.join}" if one.join else ""
            return f"{name}{hint}{join}({','.join(map(item, one.items))})"


def term(one: OrderTerm) -> str:
    target = f"{written(one.relation)}({field(one.field)})" if one.relation else field(one.field)
    return target + "".join(f".{word}" for word in (one.direction, one.nulls) if word)


@given(st.lists(ITEMS, min_size=1, max_size=4).map(tuple))
def test_select(items: tuple[SelectItem, ...]) -> None:
    text = f"select={quote(','.join(map(item, items)))}"

    assert read_query(text).select == items


@given(GROUPS)
def test_conditions(group: Group) -> None:
    key = ("not." if group.negated else "") + group.conjunction
    members = ",".join(map(condition, group.members))

    assert read_query(f"{key}={quote(f'({members})')}").groups == (((), group),)


@given(st.lists(TERMS, min_size=1, max_size=4).map(tuple))
def test_order(terms: tuple[OrderTerm, ...]) -> None:
    assert read_query(f"order={quote(','.join(map(term, terms)))}").orders == (((), terms),)
