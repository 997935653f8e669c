"""A client of the HTTP interface, for programs that book: typed, sync and async, correct under retries.

    with Client("http://127.0.0.1:8000", key) as maitred:
        booking = maitred.book(restaurant_id=..., party=2, starts_at=datetime(..., tzinfo=...))

Every write carries an idempotency key and is repeated with it when the answer is lost or the server is busy, so nothing
is done twice. What a call refuses comes as `ProblemError`, what never got an answer as `NoAnswer`.
"""

from maitred.client.answers import Availability, Booking, CreatedBooking, Slot, Waiting
from maitred.client.asynchronous import AsyncClient
from maitred.client.failures import ClientError, NoAnswer, ProblemError
from maitred.client.patience import Patience
from maitred.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Availability",
    "Booking",
    "Client",
    "ClientError",
    "CreatedBooking",
    "NoAnswer",
    "Patience",
    "ProblemError",
    "Slot",
    "Waiting",
]
