from collections.abc import Callable

import pytest

from reelbase.models import Element
from reelbase.worker.errors import PassingRenderError, RenderError, about, shown


def test_about__names_the_element_and_its_source(make_element: Callable[..., Element]) -> None:
    element = make_element(element_order=3, source_url="https://example.com/cat.mp4?token=secret")

    with pytest.raises(RenderError) as caught, about(element):
        raise RenderError("source_missing", "the file does not exist.", details={"status": 404})

    assert str(caught.value) == "Element 3 (video, https://example.com/cat.mp4): the file does not exist."
    assert caught.value.code == "source_missing"
    assert caught.value.element_order == 3
    assert caught.value.details == {"element_id": str(element.id), "status": 404}


def test_about__keeps_whether_the_fault_may_pass(make_element: Callable[..., Element]) -> None:
    with pytest.raises(PassingRenderError) as caught, about(make_element()):
        raise PassingRenderError("download_failed", "no answer.")

    assert caught.value.transient
    assert not RenderError("source_missing", "gone.").transient


def test_about__names_it_once(make_element: Callable[..., Element]) -> None:
    element = make_element()

    with pytest.raises(RenderError) as caught, about(element), about(element):
        raise RenderError("source_missing", "gone.")

    assert str(caught.value).count("Element") == 1


def test_about__shows_the_text_where_there_is_no_source(make_element: Callable[..., Element]) -> None:
    element = make_element(type="text", source_url=None, text_content="Hello " * 100)

    with pytest.raises(RenderError) as caught, about(element):
        raise RenderError("invalid_text_style", "no.")

    assert "“Hello Hello" in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:word@host:8/a?b=c#d", "https://host:8/a"),
        ("/srv/a.mp4", "/srv/a.mp4"),
        ("http://[", "an address that cannot be read"),
    ],
)
def test_shown__keeps_secrets(url: str, expected: str) -> None:
    assert shown(url) == expected
