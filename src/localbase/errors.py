"""What localbase says when something foreseeable goes wrong."""


class LocalbaseError(Exception):
    """A failure a person can act on: what happened and, where there is one, the remedy."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message
