"""The watcher: a small process that stops the embedded server when its last user has gone.

Runs as `python -m maitred.storage.embedded_watch BASE LOCK`; LOCK is the file descriptor of the watcher lock, taken
by whoever started it. It trusts no process number: a user holds a lock, which the kernel drops however the user ends.
Nothing heavy is imported here, because it stays in memory as long as the server.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from maitred.storage.embedded_folder import Folder
from maitred.storage.embedded_locks import open_lock, try_exclusive
from maitred.storage.embedded_process import launch, stop_server


def ensure_watcher(folder: Folder) -> None:
    """Start a watcher unless one runs. The caller is a user, so that a watcher that runs can't be about to go."""
    lock = open_lock(folder.watcher_lock)
    try:
        if not try_exclusive(lock):
            return
        launch(
            [sys.executable, "-S", "-P", "-m", __spec__.name, folder.base, str(lock)],
            environment={"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[2])},
            output=subprocess.DEVNULL,
            inherited=(lock,),
        )
    finally:
        os.close(lock)


def watch(folder: Folder, watcher_lock: int) -> None:
    """Wait until nobody uses the server, stop it, and return."""
    users = open_lock(folder.users_lock)
    start = open_lock(folder.start_lock)
    server = open_lock(folder.server_lock)
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        fcntl.flock(start, fcntl.LOCK_EX)
        if try_exclusive(users):
            break
        fcntl.flock(start, fcntl.LOCK_UN)
    stop_server(server, folder)
    # Before the start lock goes, or the next starter would count on a watcher that is leaving.
    os.close(watcher_lock)


if __name__ == "__main__":
    watch(Folder(Path(sys.argv[1])), int(sys.argv[2]))
