from fractions import Fraction

from reelbase.worker.filters import Chain, Filter, decimal, filter_, rendered


def test_rendered__joins_chains() -> None:
    chains = [
        Chain((), (filter_("color", color="black", size="2x2"),), ("ground",)),
        Chain(("ground", "0:V:0"), (filter_("overlay", x=1, y=-2), filter_("hflip")), ("video",)),
    ]

    graph = rendered(chains)

    assert graph == "color=color=black:size=2x2[ground];[ground][0:V:0]overlay=x=1:y=-2,hflip[video]"


def test_filter__escapes_for_the_option_and_for_the_graph() -> None:
    assert str(Filter("f", (("a", "x,y;[z]"),))) == r"f=a=x\,y\;\[z\]"
    assert str(Filter("f", (("a", "x:y'z\\"),))) == r"f=a=x\\:y\\\'z\\\\"


def test_decimal__has_no_exponent_and_no_idle_zeros() -> None:
    assert [decimal(Fraction(n)) for n in ("1", "0.5", "-0.016666666666", "1e-8")] == [
        "1",
        "0.5",
        "-0.016666667",
        "0.00000001",
    ]
