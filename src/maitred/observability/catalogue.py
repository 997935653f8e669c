"""The whole registry: importing this imports every module that declares events."""

from __future__ import annotations

from types import ModuleType

from maitred.observability import events, inline_events, optimiser_events, staff_events, table_events
from maitred.observability.registry import REGISTRY, declarations, schema_document

__all__ = ["FAMILIES", "REGISTRY", "declarations", "schema_document"]

FAMILIES: tuple[ModuleType, ...] = (events, inline_events, optimiser_events, staff_events, table_events)
