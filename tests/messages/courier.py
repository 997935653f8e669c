"""A process that delivers, told on its standard input which database and which port; it dies where it is told to.

    python courier.py URL PORT [before-mark]

With `before-mark` it stops between the server's yes and the statement that writes it down, and says so, for the test to
kill it there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, LiteralString

from maitred.messages import claims
from maitred.messages.deliverer import Deliverer
from maitred.settings import Settings
from maitred.storage.database import Database, Row


class StopsBeforeMark(Database):
    """Stops when something that was sent is to be marked."""

    async def fetch(self, sql: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        if sql is claims.MARK_SENT:
            print("sent", flush=True)
            await asyncio.Event().wait()
        return await super().fetch(sql, params)


async def main(url: str, port: int, *, before_mark: bool) -> None:
    database = (StopsBeforeMark if before_mark else Database)(url)
    await database.open()
    settings = Settings(smtp_host="127.0.0.1", smtp_port=port, smtp_tls="none", mail_from="tables@maitred.example")
    await Deliverer(database, settings).deliver_due()
    print("done", flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), before_mark="before-mark" in sys.argv))
