"""The words of a query string: fields, `select`, `order` and lists of columns."""

from collections.abc import Generator
from typing import Any

from localbase.rest.parsing import (
    Parser,
    absent,
    after,
    ahead,
    anything,
    attempt,
    between,
    char,
    choice,
    end_of_input,
    followed,
    label,
    many,
    mapped,
    nothing,
    optional,
    pure,
    satisfy,
    separated,
    sequence,
    span,
    string,
)
from localbase.rest.query import STAR, Embed, Field, JsonStep, OrderTerm, Path, SelectField, SelectItem

_FIELD_NAME = "field name (* or [a..z0..9_$])"
_JSON_KEY = "any non reserved character different from: .,>()"
_SPACE = span(lambda one: one in " \t")
_AGGREGATES = ("sum", "avg", "count")
_LONGER_AGGREGATES = ("max", "min")

delimiter = label(char("."), "delimiter (.)")


def lexeme(parser: Parser[Any]) -> Parser[Any]:
    """The parser, with blanks around it."""
    return followed(after(_SPACE, parser), _SPACE)


def _is_identifier(one: str) -> bool:
    return one.isalpha() or one.isdecimal() or one in "_ $"


def _starts(*texts: str) -> Parser[Any]:
    """One of these follows, or nothing."""
    ends: list[Parser[Any]] = [ahead(string(text)) for text in texts]
    return choice(*map(attempt, [*ends, end_of_input]))


identifier = mapped(span(_is_identifier, "letter", "digit", least=1), str.strip)
_escaped = choice(satisfy(lambda one: one not in '\\"'), after(char("\\"), anything))
quoted = mapped(between('"', many(_escaped), '"'), "".join)
_dash = attempt(followed(char("-"), absent(lambda one: one == ">")))


def _dashed(word: Parser[str]) -> Parser[str]:
    return mapped(separated(word, _dash), "-".join)


field_name = label(choice(quoted, _dashed(identifier)), _FIELD_NAME)

_key_word = mapped(span(lambda one: one not in "(-:.,>)", least=1), str.strip)
_key = label(choice(quoted, _dashed(_key_word)), _JSON_KEY)


# Parsers that serve each time are made once: making them takes longer than using them.
_sign = choice(char("-"), pure(""))
_digits = span(str.isdecimal, "digit", least=1)
_end_of_index = _starts("->", "::", ".", ",")


@sequence
def _index() -> Generator[Parser[Any], Any, int]:
    sign = yield _sign
    digits = yield _digits
    yield _end_of_index
    return int(sign + digits)


_arrow = choice(attempt(string("->>")), attempt(string("->")))
_operand: Parser[Any] = choice(attempt(_index()), attempt(_key))


@sequence
def _json_step() -> Generator[Parser[Any], Any, JsonStep]:
    arrow = yield _arrow
    return JsonStep(arrow == "->>", (yield _operand))


_json_path = many(_json_step())


@sequence
def _field() -> Generator[Parser[Any], Any, Field]:
    name = yield field_name
    return Field(name, (yield _json_path))


field = lexeme(_field())
_alias = optional(
    attempt(followed(field_name, followed(char(":"), absent(lambda one: one == ":")))),
)
_cast = optional(after(string("::"), identifier))
_end_of_item = _starts(")", ",")
_star_sign = string(STAR)
_count_sign = string("count()")


@sequence
def _star() -> Generator[Parser[Any], Any, SelectField]:
    yield _star_sign
    yield _end_of_item
    return SelectField(Field(STAR))


@sequence
def _count() -> Generator[Parser[Any], Any, SelectField]:
    alias = yield _alias
    yield _count_sign
    cast = yield _cast
    yield _end_of_item
    return SelectField(Field(STAR), alias, cast, aggregate="count")


_aggregate = optional(
    attempt(
        followed(
            after(
                char("."),
                choice(
                    *(string(name) for name in _AGGREGATES),
                    *(attempt(string(name)) for name in _LONGER_AGGREGATES),
                ),
            ),
            string("()"),
        )
    )
)


@sequence
def _column() -> Generator[Parser[Any], Any, SelectField]:
    alias = yield _alias
    found = yield field
    cast = yield _cast
    aggregate = yield _aggregate
    yield _cast
    yield _end_of_item
    return SelectField(found, alias, cast, aggregate)


_select_field = lexeme(choice(attempt(_star()), attempt(_count()), _column()))
_embed_parameter = optional(
    after(
        char("!"),
        choice(
            attempt(mapped(string("left"), lambda join: (None, join))),
            attempt(mapped(string("inner"), lambda join: (None, join))),
            attempt(mapped(field_name, lambda hint: (hint, None))),
        ),
    )
)


@sequence
def _embed_parameters() -> Generator[Parser[Any], Any, tuple[str | None, Any]]:
    """The hint and the kind of join, in any order."""
    given = [(yield _embed_parameter) or (None, None), (yield _embed_parameter) or (None, None)]
    hint = next((hint for hint, _ in given if hint is not None), None)
    return hint, next((join for _, join in given if join is not None), None)


_parameters = _embed_parameters()
_opens = attempt(ahead(string("(")))
_spread_relation = after(string("..."), field_name)


@sequence
def _spread() -> Generator[Parser[Any], Any, Embed]:
    relation = yield _spread_relation
    hint, join = yield _parameters
    yield _opens
    return Embed(relation, (), None, hint, join, spread=True)


@sequence
def _related() -> Generator[Parser[Any], Any, Embed]:
    alias = yield _alias
    relation = yield field_name
    # An aggregate, not a resource of that name.
    if relation == "count":
        yield nothing
    hint, join = yield _parameters
    yield _opens
    return Embed(relation, (), alias, hint, join)


def select(text: str, position: int) -> Any:
    """A list of items, which hold such lists themselves."""
    return _select(text, position)


_items = between("(", select, ")")


def _with_items(head: Parser[Embed]) -> Parser[SelectItem]:
    before_items = attempt(lexeme(head))

    @sequence
    def embed() -> Generator[Parser[Any], Any, SelectItem]:
        found = yield before_items
        items = yield _items
        return Embed(found.relation, items, found.alias, found.hint, found.join, found.spread)

    return embed()


_comma = lexeme(char(","))
_item = choice(_with_items(_spread()), _with_items(_related()), _select_field)
_select = choice(separated(_item, _comma), pure(()))
columns = separated(field_name, _comma)

_direction = optional(choice(*(attempt(after(delimiter, string(name))) for name in ("asc", "desc"))))
_nulls = optional(choice(*(attempt(after(delimiter, string(name))) for name in ("nullsfirst", "nullslast"))))
_end_of_term: Parser[Any] = choice(attempt(ahead(char(","))), attempt(end_of_input))


_related_field = between("(", field, ")")


@sequence
def _order_term(related: bool) -> Generator[Parser[Any], Any, OrderTerm]:
    relation = (yield field_name) if related else None
    found = yield _related_field if related else field
    direction = yield _direction
    nulls = yield _nulls
    yield _end_of_term
    return OrderTerm(found, direction, nulls, relation)


order = separated(lexeme(choice(attempt(_order_term(related=True)), _order_term(related=False))), char(","))


names = separated(field_name, delimiter)


@sequence
def _tree_path() -> Generator[Parser[Any], Any, tuple[Path, Field]]:
    *path, name = yield names
    return tuple(path), Field(name, (yield _json_path))


tree_path = _tree_path()
