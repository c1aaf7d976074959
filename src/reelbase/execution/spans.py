"""Spans and metrics by OpenTelemetry's conventions for databases, where its API is installed."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self
from urllib.parse import urlsplit

from reelbase.errors import CallRefused

_NAME = "reelbase"
_SYSTEM = {"db.system.name": "postgresql"}


@dataclass(frozen=True, slots=True)
class Span:
    """One call's span, made current; `end` it in the same context."""

    owner: "Spans"
    function: str
    span: Any
    scope: Any

    def end(self, outcome: str, retries: int, duration: float, error: BaseException | None) -> None:
        result = {} if error is None else {"error.type": outcome}
        self.owner.duration.record(
            duration, {**_SYSTEM, "db.stored_procedure.name": self.function, **self.owner.server, **result}
        )
        if self.span.is_recording():
            self.span.set_attributes({"reelbase.retries": retries, **result, **_sqlstate(error)})
            if error is not None:
                self.span.set_status(self.owner.failed, type(error).__name__)
        self.scope.__exit__(None, None, None)
        self.span.end()


class Spans:
    """Makes spans and measures durations with the providers that the program has set."""

    def __init__(self, address: str) -> None:
        trace, metrics = import_module("opentelemetry.trace"), import_module("opentelemetry.metrics")
        self.server = _server(address)
        self.failed = trace.StatusCode.ERROR
        self.duration = metrics.get_meter(_NAME).create_histogram(
            "db.client.operation.duration", unit="s", description="Duration of calls, repeats included."
        )
        self._use_span = trace.use_span
        self._kind = trace.SpanKind.CLIENT
        self._tracer = trace.get_tracer(_NAME)

    @classmethod
    def found(cls, address: str) -> Self | None:
        """None where OpenTelemetry's API is not installed."""
        return None if find_spec("opentelemetry") is None else cls._loaded(address)

    @classmethod
    def _loaded(cls, address: str) -> Self | None:
        try:
            return cls(address)
        except ModuleNotFoundError:
            # Another package of that namespace, not the API.
            return None

    def begin(self, function: str) -> Span:
        span = self._tracer.start_span(
            function,
            kind=self._kind,
            attributes={
                **_SYSTEM,
                "db.operation.name": "CALL",
                "db.stored_procedure.name": function,
                **self.server,
            },
        )
        scope = self._use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)
        scope.__enter__()
        return Span(self, function, span, scope)


def _server(address: str) -> dict[str, str | int]:
    try:
        parts = urlsplit(address)
        port = {"server.port": parts.port} if parts.port else {}
    except ValueError:
        # No address: the first call says so.
        return {}
    return {"server.address": parts.hostname or "", **port}


def _sqlstate(error: BaseException | None) -> dict[str, str]:
    state = error.sqlstate if isinstance(error, CallRefused) else None
    return {"db.response.status_code": state} if state else {}
