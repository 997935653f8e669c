"""Guests' side: bookings, availability."""

from fastapi import APIRouter

router = APIRouter(prefix="/v1")
