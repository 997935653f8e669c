"""Who records: a process's recorder, known by an id of its own, and how far it got."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args
from uuid import UUID, uuid4

ProcessKind: TypeAlias = Literal["cli", "worker", "server", "demo", "other"]
KINDS: frozenset[str] = frozenset(get_args(ProcessKind))


@dataclass(frozen=True, slots=True)
class Producer:
    """A recorder, in this process and no other: a forked child is a new one. `kind` says nothing of the machine."""

    kind: ProcessKind = "other"
    id: UUID = field(default_factory=uuid4)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a producer got. `last_seq` is the last number given out, to what was accepted and what was dropped.

    `dropped` counts by reason; `spilled` are events that came by way of a file. `closed_at` None: it goes on.
    """

    producer: Producer
    last_seq: int
    accepted: int
    dropped: dict[str, int]
    nulled: int = 0
    spilled: int = 0
    closed_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Its row in `event_producers`, as JSON has it."""
        return {
            "producer": str(self.producer.id),
            "kind": self.producer.kind,
            "started_at": self.producer.started_at.isoformat(),
            "last_seq": self.last_seq,
            "accepted": self.accepted,
            "dropped": self.dropped,
            "nulled": self.nulled,
            "spilled": self.spilled,
            "closed_at": None if self.closed_at is None else self.closed_at.isoformat(),
        }


def progress_from_json(row: Any) -> Progress:
    """The way back. Raises ValueError, KeyError or TypeError for anything else."""
    if row["kind"] not in KINDS:
        raise ValueError("an unknown kind of process")
    counts = [row["last_seq"], row["accepted"], row["nulled"], row["spilled"], *row["dropped"].values()]
    if any(type(count) is not int or not 0 <= count < 2**62 for count in counts):
        raise ValueError("a count is no count")
    producer = Producer(row["kind"], UUID(row["producer"]), _instant(row["started_at"]))
    closed_at = None if row["closed_at"] is None else _instant(row["closed_at"])
    dropped = {str(reason): count for reason, count in row["dropped"].items()}
    return Progress(producer, row["last_seq"], row["accepted"], dropped, row["nulled"], row["spilled"], closed_at)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return instant
