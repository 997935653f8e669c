"""Staff's side: quotes, holds, the board of a day."""

from fastapi import APIRouter

from maitred.http.staff import assignment, day, records

router = APIRouter(prefix="/v1", lifespan=day.ending_feeds)
for room in (assignment, day, records):
    router.include_router(room.router)
