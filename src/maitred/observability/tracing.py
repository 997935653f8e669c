"""Where traces attach, if there are any. Knows nothing of OpenTelemetry, and costs nothing while nobody traces.

A call site that is worth a span says so with `span`. Whoever sends traces enters `traced_by`; then events that are made
inside of a span carry its trace's id (`registry.TRACE_ID`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SpanName: TypeAlias = Literal["inline_attempt", "queued_attempt", "run", "http_request"]


class Tracer(Protocol):
    """What makes spans."""

    def span(self, name: SpanName, traceparent: str | None) -> AbstractContextManager[None]:
        """A span for what happens inside; a child of the one around it, or else of the caller's."""

    def trace_id(self) -> str | None:
        """The id of the trace that is under way here, 32 digits; None outside of one."""


_OFF: Final = nullcontext()
tracer: Tracer | None = None


def span(name: SpanName, *, traceparent: str | None = None) -> AbstractContextManager[None]:
    """A span for what happens inside, while anybody traces.

    `traceparent` is what the caller of a request sent of its own trace (W3C); one that is none is as good as None.
    """
    return _OFF if tracer is None else tracer.span(name, traceparent)


def spanned(name: SpanName) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Makes a call of the function a span, while anybody traces."""

    def mark(called: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(called)
        async def inside(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await called(*args, **kwargs)

        return inside

    return mark


@contextmanager
def traced_by(given: Tracer) -> Iterator[None]:
    """Spans are made by this one, until it is left."""
    global tracer  # noqa: PLW0603 - one process, one tracer; a parameter would go through every call there is
    before, tracer = tracer, given
    try:
        yield
    finally:
        tracer = before
