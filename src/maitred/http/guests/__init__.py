"""Guests' side: bookings, availability."""

from fastapi import APIRouter

from maitred.http.guests import availability, bookings, restaurants

router = APIRouter(prefix="/v1")
router.include_router(bookings.new_bookings)
router.include_router(bookings.router)
router.include_router(availability.router)
router.include_router(restaurants.router)
