"""What a client is made with."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Access:
    """Where a client goes, and with which key."""

    url: str
    key: str = field(repr=False)
