"""The embedded PostgreSQL server: started for the first process that needs it, stopped after the last (ADR 3)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from maitred.errors import EmbeddedServerFailed

if sys.platform == "win32":
    raise EmbeddedServerFailed("the embedded server runs on Linux and macOS: set MAITRED_DATABASE_URL to a server")

import fcntl

from maitred.storage.embedded_cluster import ENVIRONMENT, OWNER, provide_data, provide_password, write_settings
from maitred.storage.embedded_engine import (
    Account,
    discard_old_engines,
    installed_engine,
    server_account,
    usable_engine,
)
from maitred.storage.embedded_folder import Folder, check_owner, claim
from maitred.storage.embedded_locks import POLL_SECONDS, exclusive, exclusively_held, open_lock, try_exclusive
from maitred.storage.embedded_process import failed, launch, open_log, pid_file, server_pid, stop_server
from maitred.storage.embedded_watch import ensure_watcher

START_SECONDS = 60.0
_LARGEST_LOG = 5_000_000
_GRACE_SECONDS = 3.0
"""How long a server may live without a readable pid file: it has just been started, or its folder was removed."""


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

    Everything blocks: call it before an event loop runs, or in a thread. Not for two threads at once.
    `extra_settings` are PostgreSQL's; they apply only if this start is the one that brings the server up.
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

        May be called again, for example after the server died. Takes 60 s at most to get its turn, and 60 s at most
        to start. EmbeddedServerFailed when that is not enough or anything else is in the way.
        """
        folder = claim(self.folder.base)
        had_lease = self._lease is not None
        try:
            with exclusive(
                folder.start_lock, START_SECONDS, f"another process is starting the server in {folder.base}"
            ):
                folder.mark()
                self._take_lease()
                ensure_watcher(folder)
                self._bring_up(folder)
                _provide_database(self.database_url(OWNER), self.database_url("postgres"))
        except BaseException as error:
            if not had_lease:
                self.release()
            if isinstance(error, OSError | subprocess.SubprocessError):
                raise EmbeddedServerFailed(f"the embedded server in {folder.base} can't be started: {error}") from error
            raise
        return self.database_url(OWNER)

    def database_url(self, name: str) -> str:
        """The URL of a database of this server, with the password. The server must have been started once."""
        user, password = quote(OWNER), quote(provide_password(self.folder), safe="")
        host = quote(str(self.folder.socket_folder()), safe="")
        return f"postgresql://{user}:{password}@/{quote(name, safe='')}?host={host}&port=5432"

    def release(self) -> None:
        """Stop being a user. The watcher stops the server when nobody is left. May be called again."""
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        try:
            ensure_watcher(self.folder)  # the one from the start may have been killed
        except (OSError, subprocess.SubprocessError):
            pass  # the folder was removed, or the machine is out of something: the next start sees to it
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
            size = sum(path.lstat().st_size for path in folder.data.rglob("*") if not path.is_dir())
        except OSError as error:
            raise EmbeddedServerFailed(f"{folder.base} can't be looked at: {error.strerror}") from error
        return EmbeddedStatus(folder.base, size, pid is not None, pid, _version(), socket)

    def remove(self) -> None:
        """Stop the server and delete it with all its data, if no process uses it; this object's own use ends first.

        Deletes only what a start makes, then the base folder if that leaves it empty. EmbeddedServerFailed when
        another process uses the server, or the folder isn't one of ours.
        """
        folder = self.folder
        self.release()
        if not folder.base.exists():
            return
        try:
            check_owner(folder.base)
            if not folder.marker.exists():
                raise EmbeddedServerFailed(f"{folder.base} holds no embedded server of maitred: nothing was removed")
            with exclusive(
                folder.start_lock, START_SECONDS, f"another process is starting the server in {folder.base}"
            ):
                users = open_lock(folder.users_lock)
                try:
                    if not try_exclusive(users):
                        raise EmbeddedServerFailed(
                            f"the embedded server in {folder.base} is used by another process: end that first"
                        )
                    _delete(folder)
                finally:
                    os.close(users)
        except OSError as error:
            raise EmbeddedServerFailed(f"{folder.base} can't be removed: {error}") from error

    def _take_lease(self) -> None:
        lease = open_lock(self.folder.users_lock)
        fcntl.flock(lease, fcntl.LOCK_SH)  # a watcher holds it exclusively for an instant only
        if self._lease is not None:
            os.close(self._lease)
        self._lease = lease

    def _bring_up(self, folder: Folder) -> None:
        account = server_account(folder)
        if account is not None:
            os.chown(folder.base, -1, account.group)
        folder.base.chmod(0o700 if account is None else 0o710)
        lock = open_lock(folder.server_lock)
        try:
            if _running(lock, folder):
                return
            written = _start_new(lock, folder, account, self._extra_settings)
        finally:
            os.close(lock)  # from here on it is held by the server alone
        _wait_until_ready(folder, written)


def _running(lock: int, folder: Folder) -> bool:
    """Whether a server of ours is up. Waits for one that is on its way up or down, ends one that has lost its data.

    On False the lock is ours: no process of an earlier server lives, whatever its pid file says.
    """
    deadline = time.monotonic() + START_SECONDS
    lost_at = time.monotonic() + _GRACE_SECONDS
    while not try_exclusive(lock):
        lines = pid_file(folder)
        state = lines[7].strip() if len(lines) > 7 else None
        if state == "ready" and lines[0] == str(server_pid(lock, folder)):
            return True
        now = time.monotonic()
        if state is None and now > lost_at:
            # Without a good pid file the server would end itself within a minute.
            stop_server(lock, folder)
        if now > deadline:
            raise EmbeddedServerFailed(
                f"processes of an earlier server in {folder.base} are still running"
                + (f" (it says that it is {state})" if state else "")
            )
        time.sleep(POLL_SECONDS)
    return False


def _start_new(lock: int, folder: Folder, account: Account | None, extra_settings: Mapping[str, str]) -> int:
    """Launch a server, and return how long the log was before. The server lock is ours and becomes the server's."""
    engine = usable_engine(folder, account)
    discard_old_engines(folder, engine)
    if folder.log.exists() and folder.log.stat().st_size > _LARGEST_LOG:
        folder.log.replace(folder.old_log)
    provide_data(folder, engine, account, lock, durable=extra_settings.get("fsync", "on") == "on")
    sockets = _provide_socket_folder(folder, account)
    write_settings(folder, account, sockets, extra_settings)
    # The server lock is ours, so whatever these say is of a server that is gone.
    (folder.data / "postmaster.pid").unlink(missing_ok=True)
    for left in sockets.iterdir():
        left.unlink()
    with open_log(folder) as log:
        written = log.tell()
        pid = launch(
            [
                engine / "bin" / "postgres",
                *("-D", folder.data, "-c", f"config_file={folder.settings}", "-c", f"hba_file={folder.access_rules}"),
            ],
            environment=ENVIRONMENT,
            output=log,
            inherited=(lock,),
            user=None if account is None else account.user,
            group=None if account is None else account.group,
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % pid, 0)
    return written


def _wait_until_ready(folder: Folder, written: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    lock = open_lock(folder.server_lock)
    try:
        while True:
            lives = exclusively_held(lock)
            lines = pid_file(folder)
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
            if not lives:
                raise failed("the server ended at its start", folder, written)
            if time.monotonic() > deadline:
                raise failed("the server did not start in time", folder, written)
            time.sleep(POLL_SECONDS)
    finally:
        os.close(lock)


def _provide_socket_folder(folder: Folder, account: Account | None) -> Path:
    """The folder for the socket, entered by the server and us alone."""
    sockets = folder.socket_folder()
    owner = os.geteuid() if account is None else account.user
    try:
        sockets.mkdir(mode=0o700)
    except FileExistsError:
        found = sockets.lstat()
        if sockets.is_symlink() or not sockets.is_dir() or found.st_uid not in (owner, os.geteuid()):
            raise EmbeddedServerFailed(f"{sockets} was made by somebody else: have it removed") from None
    sockets.chmod(0o700)
    if account is not None:
        os.chown(sockets, *account.owns)
    return sockets


def _provide_database(url: str, maintenance_url: str) -> None:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.errors.TooManyConnections:
        return  # it is up and busy
    except psycopg.OperationalError as error:
        if f'database "{OWNER}" does not exist' not in str(error):
            raise EmbeddedServerFailed(f"the embedded server does not let us in: {error}") from error
        with psycopg.connect(maintenance_url, connect_timeout=10, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {OWNER}")


def _version() -> str:
    result = subprocess.run(  # noqa: S603 - a program of ours
        [installed_engine() / "bin" / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return result.stdout.removeprefix("postgres (PostgreSQL)").strip()


def _delete(folder: Folder) -> None:
    """Delete what a start makes, the marker last, so that a removal that was cut short can be run again."""
    lock = open_lock(folder.server_lock)
    try:
        if exclusively_held(lock) and not stop_server(lock, folder):
            raise EmbeddedServerFailed(f"the server in {folder.base} can't be stopped: nothing was removed")
    finally:
        os.close(lock)
    for tree in (folder.data, folder.half_made_data, folder.socket_folder(), *folder.engines()):
        if tree.exists():
            shutil.rmtree(tree)
    for file in (
        folder.password,
        folder.settings,
        folder.access_rules,
        folder.log,
        folder.old_log,
        folder.server_lock,
        folder.watcher_lock,
        folder.users_lock,
        folder.marker,
        folder.start_lock,
    ):
        file.unlink(missing_ok=True)
    if not any(folder.base.iterdir()):
        folder.base.rmdir()
