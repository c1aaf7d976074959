"""What a client accepts, and what it gets."""

import pytest

from localbase.rest.errors import ApiError
from localbase.rest.media import Shape, negotiate


@pytest.mark.parametrize(
    ("accept", "content_type", "shape"),
    [
        ("", "application/json; charset=utf-8", Shape.ARRAY),
        ("*/*", "application/json; charset=utf-8", Shape.ARRAY),
        ("text/html, application/json;q=0.5", "application/json; charset=utf-8", Shape.ARRAY),
        ("*/*, text/csv", "text/csv; charset=utf-8", Shape.CSV),
        ("application/json;q=0.1, text/csv;q=0.2", "text/csv; charset=utf-8", Shape.CSV),
        ("application/vnd.pgrst.object", "application/vnd.pgrst.object+json; charset=utf-8", Shape.OBJECT),
        (
            "application/vnd.pgrst.array+json; nulls=stripped",
            "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
            Shape.ARRAY,
        ),
    ],
)
def test_negotiation(accept: str, content_type: str, shape: Shape) -> None:
    media = negotiate(accept)

    assert (media.content_type, media.shape) == (content_type, shape)


def test_a_function_may_have_a_type_of_its_own() -> None:
    assert negotiate("image/png", own="image/png").content_type == "image/png"
    assert negotiate("text/plain", own="text/plain").content_type == "text/plain; charset=utf-8"
    assert negotiate("*/*", own="image/png").shape is Shape.ARRAY


@pytest.mark.parametrize(
    ("accept", "listed"),
    [
        ("text/html, image/png;q=2", "image/png, text/html"),
        (
            'application/vnd.pgrst.plan; for="text/csv"; options=wal|analyze',
            'application/vnd.pgrst.plan+text; for="text/csv"; options=analyze|wal',
        ),
    ],
)
def test_refusal(accept: str, listed: str) -> None:
    with pytest.raises(ApiError) as raised:
        negotiate(accept)

    assert raised.value.message.endswith(f": {listed}")
