"""Staff's side: quotes, holds, the board of a day."""

from fastapi import APIRouter

router = APIRouter(prefix="/v1")
