"""Locks between processes that the kernel drops when their holder dies, however it dies.

Only flock: a process number in a file can outlive its process or come to mean another one.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from maitred.errors import EmbeddedServerFailed

POLL_SECONDS = 0.005


def open_lock(path: Path) -> int:
    """Open a lock file, unlocked and not inherited by programs that this process runs. OSError as from open."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_exclusive(lock: int) -> bool:
    """Take it for this process alone, if nobody else has it in any way."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def exclusively_held(lock: int) -> bool:
    """Whether another process has it for itself. Looks with a shared lock, so that two who look don't disturb."""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def is_file_at(lock: int, path: Path) -> bool:
    """Whether the open file is still the one found at the path: the folder may have been removed and made again."""
    try:
        found = path.stat()
    except OSError:
        return False
    opened = os.fstat(lock)
    return (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)


def take_shared(lock: int, seconds: float, problem: str) -> None:
    """Wait until nobody has it for itself, and share it. EmbeddedServerFailed with the problem after that time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(problem) from None
            time.sleep(POLL_SECONDS)
        else:
            return


def take_exclusive(path: Path, seconds: float, problem: str) -> int:
    """Wait for the lock at the path and return it, open. EmbeddedServerFailed with the problem after that time.

    FileNotFoundError when the folder around it goes away meanwhile.
    """
    deadline = time.monotonic() + seconds
    while True:
        lock = open_lock(path)
        try:
            while not try_exclusive(lock):
                if time.monotonic() > deadline:
                    raise EmbeddedServerFailed(problem)
                time.sleep(POLL_SECONDS)
            if is_file_at(lock, path):
                lock, taken = -1, lock
                return taken
        finally:
            if lock >= 0:
                os.close(lock)
