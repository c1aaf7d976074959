"""Elements: the pictures, clips, sounds and texts a video is made of."""

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime, Field

from reelbase.models.base import JsonObject, Model, OpenEnum, Page


class ElementType(OpenEnum):
    VIDEO = "video"
    IMAGE = "image"
    AUDIO = "audio"
    TEXT = "text"
    OVERLAY = "overlay"


class FitMode(OpenEnum):
    """How a source fills its box.

    `contain` keeps the whole picture, `cover` fills the box and crops, `fill` and `stretch`
    distort to the box; `auto` is `contain` where the box has both sides, else the source's own shape.
    """

    AUTO = "auto"
    CONTAIN = "contain"
    COVER = "cover"
    FILL = "fill"
    STRETCH = "stretch"


class ElementState(OpenEnum):
    """How far a worker is with an element."""

    PENDING = "pending"
    DOWNLOADED = "downloaded"
    PROCESSED = "processed"
    FAILED = "failed"


class ElementSpec(Model):
    """An element to be created.

    Positions and sizes are text: pixels (`"640"`, `"640px"`) or percent of the output (`"50%"`);
    a position is of the element's top left corner and may be negative. None means the database's
    default: position 0, the source's own size for a missing side. Higher tracks lie on top, within one
    a higher `z_index`, then the later element.
    `start_time` and `duration` are seconds of the output; without a duration an element lasts as
    long as its source, or to the end of the video for pictures and text.
    """

    type: ElementType
    source_url: str | None = None
    element_order: int | None = None
    track: int | None = None
    x_position: str | None = None
    y_position: str | None = None
    width: str | None = None
    height: str | None = None
    fit_mode: FitMode | None = None
    start_time: Decimal | None = None
    duration: Decimal | None = None
    text_content: str | None = None
    text_style: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    z_index: int | None = None


class Element(Model):
    """One row of `elements`; see ElementSpec for units.

    `source_kind` tells what `source_url` is: `web`, `s3`, `inline` (data:), `file`, `other`, or `none`.
    `local_path` is where the worker kept the source, `source_size` its size in bytes, `error_message` why
    it could not be used.
    """

    id: UUID
    job_id: UUID
    type: ElementType
    source_url: str | None
    element_order: int
    track: int
    z_index: int
    x_position: str
    y_position: str
    width: str | None
    height: str | None
    fit_mode: FitMode
    start_time: Decimal
    duration: Decimal | None
    text_content: str | None
    text_style: JsonObject
    metadata: JsonObject
    source_kind: str
    downloaded: bool
    processed: bool
    processing_state: ElementState
    local_path: str | None
    source_size: int | None
    error_message: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ElementPage(Page[Element]):
    """One page of elements."""
