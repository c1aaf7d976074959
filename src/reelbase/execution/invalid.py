"""Refusing an argument before it is sent, as the server would."""

from reelbase.errors import Answer, InvalidArgument


def invalid(argument: str, problem: str, *, hint: str | None = None) -> InvalidArgument:
    return InvalidArgument(
        Answer(
            f"{argument} {problem}",
            error="invalid_argument",
            hint=hint,
            details={"problems": [{"argument": argument, "problem": problem}]},
        )
    )
