"""One event, as it is handed from whoever makes it to whoever writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID, uuid4

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Severity(StrEnum):
    """How much an event matters; the database knows these and no others."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of `observability_events`. `id` makes writing it twice the same as writing it once.

    Made by a constructor of the registry. One that was put together in another way is looked through before it is
    written (`registry.admit`). Raises ValueError for a `created_at` without a zone.
    """

    source: str
    event_type: str
    severity: Severity
    context: Mapping[str, JsonValue]
    restaurant_id: UUID | None = None
    booking_id: UUID | None = None
    created_at: datetime | None = None
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        if self.created_at is not None and self.created_at.tzinfo is None:
            raise ValueError("an event needs an instant with a zone")
