import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbase.realtime.filters import Condition, FilterError, Operator, parse_filter


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("", []),
        ("n=eq.3", [Condition("n", Operator.EQ, "3")]),
        ("n=eq.", [Condition("n", Operator.EQ, "")]),
        ("n=eq.1.5", [Condition("n", Operator.EQ, "1.5")]),
        ("n=not.eq.3", [Condition("n", Operator.EQ, "3", negated=True)]),
        ("n=gt.1,n=lt.4", [Condition("n", Operator.GT, "1"), Condition("n", Operator.LT, "4")]),
        (
            'a=in.(x,"y z"), b=is.null',
            [Condition("a", Operator.IN, '{x,"y z"}'), Condition("b", Operator.IS, "null")],
        ),
        (
            'a=in.("x),y",z),b=eq.1',
            [Condition("a", Operator.IN, '{"x),y",z}'), Condition("b", Operator.EQ, "1")],
        ),
        ("t=match.^((a|b),c)$", [Condition("t", Operator.MATCH, "^((a|b),c)$")]),
        ("t=match.^(a|b,c)$", [Condition("t", Operator.MATCH, "^(a|b,c)$")]),
    ],
)
def test_parse_filter(text: str, conditions: list[Condition]) -> None:
    assert list(parse_filter(text)) == conditions


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("undefined", '["undefined"]'),
        ("n=1", '["1"]'),
        ("n=foo.1", '["foo", "1"]'),
        ('title=eq.it"s, a (test)', '["a (test)"]'),
        ("n=in.1,2", "`in` filter value must be wrapped by parentheses"),
    ],
)
def test_parse_filter__says_what_it_cannot_read(text: str, reason: str) -> None:
    with pytest.raises(FilterError) as failure:
        parse_filter(text)

    assert str(failure.value) == f"Error parsing `filter` params: {reason}"


@given(st.text())
def test_parse_filter__any_text_is_parsed_or_refused(text: str) -> None:
    try:
        conditions = parse_filter(text)
    except FilterError:
        return
    assert all(isinstance(condition.operator, Operator) for condition in conditions)
