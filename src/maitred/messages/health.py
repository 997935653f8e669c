"""How the outbox is doing, for the health report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from maitred.storage.database import Database

_HEALTH: LiteralString = """
SELECT w.waiting, w.oldest_s,
       (SELECT count(*) FROM messages WHERE state = 'dead') AS dead,
       EXISTS (SELECT FROM mail_server) AS tried,
       (SELECT problem FROM mail_server) AS problem
  FROM (SELECT count(*) AS waiting,
               extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS oldest_s
          FROM messages
         WHERE state = 'waiting') w
"""


@dataclass(frozen=True, slots=True)
class OutboxHealth:
    """Messages that wait, the age of the oldest of them in seconds, and those that were given up.

    `mail_server_reachable` is what the last try by any process came to, None before the first; `mail_server_problem` is
    a word for what was wrong, such as connect_failed, login_refused or not_configured.
    """

    waiting: int
    oldest_waiting_s: float | None
    dead: int
    mail_server_reachable: bool | None
    mail_server_problem: str | None


async def outbox_health(database: Database) -> OutboxHealth:
    """One round trip. Raises DatabaseUnavailable."""
    row = (await database.fetch(_HEALTH))[0]
    oldest_s = row["oldest_s"]
    return OutboxHealth(
        waiting=row["waiting"],
        oldest_waiting_s=None if oldest_s is None else max(0.0, oldest_s),
        dead=row["dead"],
        mail_server_reachable=row["problem"] is None if row["tried"] else None,
        mail_server_problem=row["problem"],
    )
