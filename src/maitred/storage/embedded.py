"""The embedded PostgreSQL server: started for the first process that needs it, stopped after the last (ADR 3).

Importing this on Windows raises EmbeddedServerFailed: a server must be given there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from maitred.errors import EmbeddedServerFailed

if sys.platform == "win32":
    raise EmbeddedServerFailed("the embedded server runs on Linux and macOS: set MAITRED_DATABASE_URL to a server")

from maitred.storage.embedded_cluster import OWNER
from maitred.storage.embedded_engine import installed_engine
from maitred.storage.embedded_folder import Folder, check_owner, claim
from maitred.storage.embedded_locks import (
    POLL_SECONDS,
    exclusively_held,
    open_lock,
    take_exclusive,
    take_shared,
    try_exclusive,
)
from maitred.storage.embedded_process import server_pid, stop_server
from maitred.storage.embedded_start import START_SECONDS, bring_up, url
from maitred.storage.embedded_watch import ensure_watcher

_MOMENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What is known without starting anything. `data_bytes` is the sum of the file sizes, 0 when there is no data."""

    base: Path
    data_bytes: int
    running: bool
    pid: int | None
    postgresql_version: str
    socket: Path | None


def default_base() -> Path:
    """Where the server lives when no setting says otherwise. Root's is outside /root, which nobody else can enter."""
    if os.geteuid() == 0:
        return Path("/var/lib/maitred")
    from platformdirs import user_data_path

    return user_data_path("maitred")


class EmbeddedServer:
    """One process's use of the server in a base folder. Other processes may use the same one at the same time.

    Everything blocks: call it before an event loop runs, or in a thread. One object is not for two threads at once.
    A forked child shares its parent's use. `extra_settings` are PostgreSQL's; they count only if this start is the
    one that brings the server up.
    """

    def __init__(self, base: Path | None = None, *, extra_settings: Mapping[str, str] | None = None) -> None:
        self.folder = Folder((base or default_base()).resolve())
        self._extra_settings = dict(extra_settings or {})
        self._lease: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def start(self) -> str:
        """Bring the server up if it isn't, become one of its users, and return the URL of the database `maitred`.

        May be called again, for example after the server died. Waits for its turn, for an earlier server to be gone
        and for the new one to be ready, 60 s each at most. EmbeddedServerFailed when that is not enough or anything
        else is in the way.
        """
        used_before = self._lease is not None
        try:
            turn = self._take_turn()
            try:
                self.folder.mark()
                self._take_lease()
                ensure_watcher(self.folder)
                bring_up(self.folder, self._extra_settings)
            except BaseException:
                if not used_before:
                    self.release()
                raise
            finally:
                os.close(turn)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerFailed(f"the server in {self.folder.base} can't be started: {error}") from error
        return self.database_url(OWNER)

    def database_url(self, name: str) -> str:
        """The URL of a database of this server, with the password. The server must have been started once."""
        return url(self.folder, name)

    def release(self) -> None:
        """Stop being a user. The watcher stops the server when nobody is left. May be called again."""
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        try:
            # The watcher from the start may have been killed. Where none can be run, the next start sees to it.
            with suppress(OSError, subprocess.SubprocessError):
                ensure_watcher(self.folder)
        finally:
            os.close(lease)  # not LOCK_UN, which would end the use of forked children too

    def status(self) -> EmbeddedStatus:
        """What there is now. Starts and changes nothing. EmbeddedServerFailed when the folder is somebody else's."""
        folder = self.folder
        pid = socket = None
        try:
            if folder.base.exists():
                check_owner(folder.base)
            if folder.server_lock.exists():
                lock = open_lock(folder.server_lock)
                try:
                    pid = server_pid(lock, folder)
                finally:
                    os.close(lock)
            if folder.marker.exists():
                socket = folder.socket_folder()
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerFailed(f"{folder.base} can't be looked at: {error}") from error
        return EmbeddedStatus(folder.base, _size(folder.data), pid is not None, pid, _version(), socket)

    def remove(self) -> None:
        """Stop the server and delete it with all its data, if no process uses it; this object's own use ends first.

        Deletes only what a start makes, then the base folder if that leaves it empty. EmbeddedServerFailed when
        another process uses the server, or the folder isn't one of ours.
        """
        folder = self.folder
        self.release()
        try:
            if not folder.base.exists():
                return
            check_owner(folder.base)
            if not folder.marker.exists():
                raise EmbeddedServerFailed(f"{folder.base} holds no embedded server of maitred: nothing was removed")
            turn = take_exclusive(folder.start_lock, START_SECONDS, self._busy)
            try:
                _delete(folder)
            finally:
                os.close(turn)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerFailed(f"{folder.base} can't be removed: {error}") from error

    @property
    def _busy(self) -> str:
        return (
            f"another process has been starting or removing the server in {self.folder.base} for {START_SECONDS:.0f} s"
        )

    def _take_turn(self) -> int:
        for _ in range(100):
            claim(self.folder.base)
            with suppress(FileNotFoundError):  # it was being removed
                return take_exclusive(self.folder.start_lock, START_SECONDS, self._busy)
        raise EmbeddedServerFailed(f"{self.folder.base} is removed again and again")

    def _take_lease(self) -> None:
        lease = open_lock(self.folder.users_lock)
        try:
            take_shared(lease, START_SECONDS, self._busy)  # a watcher has it for itself, but for an instant only
        except BaseException:
            os.close(lease)
            raise
        if self._lease is not None:
            os.close(self._lease)  # perhaps of a folder that was removed since
        self._lease = lease


def _size(data: Path) -> int:
    size = 0
    for parent, _, names in os.walk(data):
        for name in names:
            with suppress(OSError):  # a running server deletes files
                size += (Path(parent) / name).lstat().st_size
    return size


def _version() -> str:
    result = subprocess.run(  # noqa: S603 - a program of ours
        [installed_engine() / "bin" / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return result.stdout.removeprefix("postgres (PostgreSQL)").strip()


def _is_unused(users: int) -> bool:
    """Take the users' lock; wait for what has it but a moment: a watcher that looks, a child between fork and exec."""
    deadline = time.monotonic() + _MOMENT_SECONDS
    while not try_exclusive(users):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _delete(folder: Folder) -> None:
    """Delete what a start makes, the marker nearly last, so that a removal that was cut short can be run again."""
    users = open_lock(folder.users_lock)
    server = open_lock(folder.server_lock)
    try:
        if not _is_unused(users):
            raise EmbeddedServerFailed(f"the server in {folder.base} is used by another process: end that first")
        if exclusively_held(server) and not stop_server(server, folder):
            raise EmbeddedServerFailed(f"the server in {folder.base} can't be stopped: nothing was removed")
        for tree in (folder.data, folder.half_made_data, folder.socket_folder(), *folder.engines()):
            if tree.exists():
                shutil.rmtree(tree)
        for file in folder.files:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds other things, or somebody starts a new server in it
            folder.base.rmdir()
    finally:
        os.close(server)
        os.close(users)
