"""What can go wrong while a video is made, in words for people and a code for programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from reelbase.errors import ReelbaseError
from reelbase.models import Element

_SHOWN = 120


class RenderError(ReelbaseError):
    """A video could not be made, and could not be made by trying again either.

    `code` is for programs (`source_missing`, `encoding_failed`, …), the message a sentence for people,
    `details` JSON for whoever looks deeper. `element_order` names the element at fault, None when it
    is no single one's.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        element_order: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.element_order = element_order
        self.details = details or {}


class PassingRenderError(RenderError):
    """The fault may pass, or be this worker's: the network, the disk, the memory, what is installed."""

    transient = True


@contextmanager
def about(element: Element) -> Iterator[None]:
    """Name the element and its source in every RenderError raised inside."""
    try:
        yield
    except RenderError as error:
        if error.element_order is not None:
            raise
        raise type(error)(
            error.code,
            f"Element {element.element_order} ({_subject(element)}): {error.message}",
            element_order=element.element_order,
            details={"element_id": str(element.id), **error.details},
        ) from error


def shown(url: str) -> str:
    """The address without what may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    bare = parts._replace(netloc=host, query="", fragment="").geturl()
    return _shortened(bare)


def _subject(element: Element) -> str:
    if element.source_url:
        return f"{element.type}, {shown(element.source_url)}"
    return f"{element.type}, “{_shortened(element.text_content or '')}”"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
