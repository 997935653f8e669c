"""Starting a process that outlives its starter, and telling for certain whether the server lives."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded_folder import Folder
from maitred.storage.embedded_locks import POLL_SECONDS, exclusively_held

_STOPPING = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
"""PostgreSQL's fast shutdown, its immediate one, and the kernel's; each with the seconds it gets."""
_SHOWN_BYTES = 2000
_SHOWN_LINES = 10
_LITTLE_SPACE = 32_000_000
_ORPHAN = '"$@" >&2 & echo "$!"'
"""A shell that starts a command, says its number and goes, so that the command is nobody's child here."""


def launch(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    output: BinaryIO | int,
    inherited: Sequence[int],
    user: int | None = None,
    group: int | None = None,
) -> int:
    """Start a command in a session of its own, and return its process number. OSError when it can't be run.

    It inherits the given file descriptors and no others.
    """
    shell = subprocess.run(  # noqa: S603 - the arguments are not parsed by the shell
        ["/bin/sh", "-c", _ORPHAN, "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=output,
        env=dict(environment),
        cwd="/",
        start_new_session=True,
        pass_fds=inherited,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        timeout=30,
        check=True,
    )
    return int(shell.stdout)


def announce(lock: int) -> str:
    """Write a token of a server about to be launched into its lock file, and return the setting that carries it.

    The token stands on the server's command line, so that a number can be told to be that server's and no other's.
    """
    token = f"maitred-{secrets.token_hex(8)}"
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{token}\n".encode(), 0)
    return f"cluster_name={token}"


def record_pid(lock: int, pid: int) -> None:
    """Add the number of the launched server to its lock file."""
    os.pwrite(lock, f"{pid}\n".encode(), os.fstat(lock).st_size)


def server_pid(lock: int, folder: Folder) -> int | None:
    """The number of the running server, or None. `lock` is the open server lock.

    A number counts only while the lock is held and while the process of that number has the server's token.
    """
    if not exclusively_held(lock):
        return None
    token, recorded, *_ = [*os.pread(lock, 200, 0).decode("ascii", "replace").splitlines(), "", ""]
    # A starter killed at the wrong moment has recorded nothing: then the server's own word is tried.
    for number in (recorded, *_pid_file(folder)[:1]):
        pid = _number(number)
        if pid is not None and token and _has_argument(pid, f"cluster_name={token}"):
            return pid
    return None


def server_state(lock: int, folder: Folder) -> str | None:
    """What the running server says of itself: starting, ready or stopping. None without a server or a good pid file."""
    lines = _pid_file(folder)
    if len(lines) < 8 or _number(lines[0]) is None or _number(lines[0]) != server_pid(lock, folder):
        return None
    return lines[7].strip() or None


def _pid_file(folder: Folder) -> list[str]:
    """The lines of the server's own pid file; none when there is no file or it can't be read."""
    try:
        return (folder.data / "postmaster.pid").read_text(errors="replace").splitlines()
    except OSError:
        return []


def _number(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and int(digits) > 1 else None


def _has_argument(pid: int, argument: str) -> bool:
    if Path("/proc/self/cmdline").exists():
        try:
            return argument.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
    shown = subprocess.run(  # noqa: S603 - a number and fixed words
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False, timeout=10
    )
    return argument.encode() in shown.stdout.split()


def stop_server(lock: int, folder: Folder) -> bool:
    """Stop the server, fast, then harder. Returns whether all of its processes are gone. Takes 35 s at most."""
    for how, seconds in _STOPPING:
        pid = server_pid(lock, folder)
        if pid is not None:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
            except PermissionError:
                return False
        if wait_for_end(lock, seconds):
            return True
    return False


def wait_for_end(lock: int, seconds: float) -> bool:
    """Wait until no process of the server lives; False when one still does after that time."""
    deadline = time.monotonic() + seconds
    while exclusively_held(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def open_log(folder: Folder) -> BinaryIO:
    """The log, to append to. Readable by us alone."""
    return os.fdopen(os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")


def failed(what: str, folder: Folder, log_length: int) -> EmbeddedServerFailed:
    """The error with the last of what came into the log after it had that many bytes."""
    try:
        with folder.log.open("rb") as log:
            log.seek(max(log_length, log.seek(0, os.SEEK_END) - _SHOWN_BYTES))
            said = log.read().decode("utf-8", "replace")
    except OSError as error:
        said = str(error)
    return failed_saying(what, folder, said)


def failed_saying(what: str, folder: Folder, said: str) -> EmbeddedServerFailed:
    """The error with the last lines of what a program said. On a full disk the log may have nothing, so look."""
    lines = said[-_SHOWN_BYTES:].splitlines()[-_SHOWN_LINES:]
    free = shutil.disk_usage(folder.base).free
    if free < _LITTLE_SPACE:
        lines.append(f"the disk is full: {free // 1_000_000} MB are free")
    return EmbeddedServerFailed("\n".join((what + (":" if lines else ""), *lines)))
