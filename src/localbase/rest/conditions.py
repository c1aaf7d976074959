"""The conditions of a query string: operators, and trees of `and`, `or` and `not`."""

from collections.abc import Generator
from typing import Any

from localbase.rest.grammar import delimiter, field, identifier, lexeme, names, quoted
from localbase.rest.parsing import (
    Parser,
    absent,
    after,
    attempt,
    between,
    char,
    choice,
    followed,
    label,
    mapped,
    optional,
    pure,
    satisfy,
    separated,
    sequence,
    span,
    string,
)
from localbase.rest.query import (
    Compare,
    Condition,
    Filter,
    Group,
    In,
    Is,
    IsDistinct,
    Operation,
    Path,
    Search,
)

SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj")
QUANTIFIABLE = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SEARCHES = ("fts", "plfts", "phfts", "wfts")
_IS = ("null", "not_null", "true", "false", "unknown")
_IS_EXPECTED = "isVal: (null, not_null, true, false, unknown)"


def _ends_word(one: str) -> bool:
    return one in ",)"


_until_end_of_word = span(lambda one: not _ends_word(one))
_quoted_word = attempt(followed(quoted, absent(lambda one: not _ends_word(one))))
_array = mapped(
    followed(after(string("{"), span(lambda one: one not in "{}")), string("}")), lambda items: f"{{{items}}}"
)
whole_value = span(lambda _: True)
_value_in_group = choice(_quoted_word, attempt(_array), _until_end_of_word)
_list_element = choice(_quoted_word, _until_end_of_word)
_list = followed(
    after(lexeme(char("(")), separated(_list_element, char(","))),
    lexeme(char(")")),
)


def _any_case(word: str) -> Parser[str]:
    letters = [satisfy((letter, letter.upper()).__contains__) for letter in word]

    @sequence
    def spelt() -> Generator[Parser[Any], Any, str]:
        for letter in letters:  # noqa: UP028  a list cannot be sent the values
            yield letter
        return word

    return spelt()


def _prefixed(word: str, value: Parser[Any]) -> Parser[Any]:
    return after(attempt(followed(string(word), delimiter)), value)


_is_value = label(choice(*(attempt(_any_case(word)) for word in _IS)), _IS_EXPECTED)


def _names(names: tuple[str, ...]) -> Parser[str]:
    return choice(*(attempt(string(name)) for name in names))


# Parsers that serve each time are made once: making them takes longer than using them.
_search_name = _names(SEARCHES)
_simple_name = _names(SIMPLE)
_quantifiable_name = _names(QUANTIFIABLE)
_language = optional(attempt(between("(", identifier, ")")))
_quantifier = optional(attempt(between("(", choice(attempt(string("any")), string("all")), ")")))


@sequence
def _search(value: Parser[str]) -> Generator[Parser[Any], Any, Search]:
    operator = yield _search_name
    language = yield _language
    yield delimiter
    return Search(operator, language, (yield value))


@sequence
def _simple(value: Parser[str]) -> Generator[Parser[Any], Any, Compare]:
    operator = yield _simple_name
    yield delimiter
    return Compare(operator, (yield value))


@sequence
def _quantified(value: Parser[str]) -> Generator[Parser[Any], Any, Compare]:
    operator = yield _quantifiable_name
    quantifier = yield _quantifier
    yield delimiter
    return Compare(operator, (yield value), quantifier)


def _operation(value: Parser[str]) -> Parser[Operation]:
    alternatives: tuple[Parser[Any], ...] = (
        mapped(_prefixed("in", _list), In),
        mapped(_prefixed("is", _is_value), Is),
        mapped(_prefixed("isdistinct", value), IsDistinct),
        attempt(_search(value)),
        attempt(_simple(value)),
        attempt(_quantified(value)),
    )
    return label(choice(*alternatives), "operator (eq, gt, ...)")


_negation = choice(mapped(attempt(followed(string("not"), delimiter)), bool), pure(False))


@sequence
def _comparison(value: Parser[str]) -> Generator[Parser[Any], Any, tuple[bool, Operation]]:
    negated = yield _negation
    return negated, (yield _operation(value))


# Whether it is negated, and the operation: what stands behind `column=`.
comparison = _comparison(whole_value)
_comparison_in_group = _comparison(_value_in_group)


@sequence
def _filter() -> Generator[Parser[Any], Any, Filter]:
    found = yield field
    yield delimiter
    negated, operation = yield _comparison_in_group
    return Filter(found, operation, negated)


_conjunction = label(choice(attempt(string("and")), string("or")), "logic operator (and, or)")


def condition(text: str, position: int) -> Any:
    """A filter, or a group of such conditions."""
    return _condition(text, position)


_opening, _comma, _closing = (lexeme(char(one)) for one in "(,)")
_members = separated(condition, _comma)
_not = label(_negation, "negation operator (not)")


@sequence
def _group() -> Generator[Parser[Any], Any, Group]:
    negated = yield _not
    conjunction = yield _conjunction
    yield _opening
    members = yield _members
    yield _closing
    return Group(conjunction, members, negated)


_condition: Parser[Condition] = choice(attempt(_filter()), _group())


@sequence
def _logic_path() -> Generator[Parser[Any], Any, tuple[Path, str]]:
    found = yield names
    path = tuple(name for name in found[:-1] if name != "not")
    return path, ("not." if "not" in found else "") + found[-1]


# Where a group of conditions applies, and the words it begins with.
logic_path = _logic_path()
