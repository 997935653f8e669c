"""All modules that declare events: importing this one fills the registry."""

from __future__ import annotations

from maitred.observability import events, inline_events

FAMILIES = (events, inline_events)
