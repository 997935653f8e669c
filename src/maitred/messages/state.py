"""The states of a message."""

from __future__ import annotations

from enum import StrEnum


class MessageState(StrEnum):
    """`waiting` is on its way; `sent` was taken; `dropped` was no longer true, or suppressed; `dead` was given up."""

    WAITING = "waiting"
    SENT = "sent"
    DROPPED = "dropped"
    DEAD = "dead"
