"""A process of its own that uses an embedded server, for tests to end in whatever way they like."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg

from maitred.storage.embedded import EmbeddedServer

FAST = {"fsync": "off"}
PROGRAM = """
import sys
from pathlib import Path
from maitred.storage.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), extra_settings={"fsync": "off"})
print("here", flush=True)
sys.stdin.readline()
print(server.start(), flush=True)
sys.stdin.readline()
server.release()
print("released", flush=True)
sys.stdin.readline()
"""


class User:
    """The process. It starts the server, releases it and ends, each when told."""

    def __init__(self, base: Path, wrapper: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-c", PROGRAM, str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self._read() == "here"

    def ask_to_start(self) -> None:
        self._say()

    def url(self) -> str:
        url = self._read()
        if not url:
            self.end()
            raise AssertionError("the user ended at the start of the server")
        return url

    def start(self) -> str:
        self.ask_to_start()
        return self.url()

    def release(self) -> None:
        self._say()
        assert self._read() == "released"

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(timeout=30)

    def _say(self) -> None:
        into: IO[str] | None = self.process.stdin
        assert into is not None
        into.write("\n")
        into.flush()

    def _read(self) -> str:
        out: IO[str] | None = self.process.stdout
        assert out is not None
        return out.readline().strip()


@contextmanager
def users(base: Path, count: int) -> Iterator[list[User]]:
    """So many processes, none of which has started the server yet."""
    made = [User(base) for _ in range(count)]
    try:
        yield made
    finally:
        for user in made:
            if user.process.returncode is None:
                user.kill()


@contextmanager
def place_for_base() -> Iterator[Path]:
    """A base to be made, below a folder that every user can enter: root's server needs that."""
    parent = Path(tempfile.mkdtemp(prefix="maitred-embedded-"))
    parent.chmod(0o711)
    try:
        yield parent / "base"
    finally:
        stopped = stops(parent / "base")
        shutil.rmtree(parent, ignore_errors=not stopped)
    assert stopped


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def stops(base: Path) -> bool:
    """Whether the server comes to its end."""
    return eventually(lambda: not EmbeddedServer(base).status().running)


def answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def pid_of(base: Path) -> int:
    pid = EmbeddedServer(base).status().pid
    assert pid is not None
    return pid


def waits_for(pid: int, lock: Path) -> bool:
    """Whether that process waits for that lock, as the kernel lists it (Linux)."""
    inode = str(lock.stat().st_ino)
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(words[5] == str(pid) and words[6].split(":")[2] == inode for words in waiting)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
