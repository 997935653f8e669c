"""Explaining a booking: its story, read and told."""

from __future__ import annotations

import asyncio
from uuid import UUID

from maitred.replay.history import read_history
from maitred.replay.story import Story, tell, versions_in
from maitred.replay.venues import KeptVenues
from maitred.storage.database import Database


async def explain_booking(db: Database, booking_id: UUID) -> Story:
    """What happened to the booking and why, from the records. Changes nothing. Raises NotFound."""
    history = await read_history(db, booking_id)
    venues = KeptVenues()
    await venues.fetch(db, versions_in(history))
    return await asyncio.to_thread(tell, history, venues)
