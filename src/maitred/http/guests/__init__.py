"""Guests' side: bookings, availability."""

from fastapi import APIRouter

from maitred.http.guests import availability, bookings

router = APIRouter(prefix="/v1")
router.include_router(bookings.router)
router.include_router(availability.router)
