"""Operators' side: venues, floors, policy, keys."""

from fastapi import APIRouter

router = APIRouter(prefix="/v1")
