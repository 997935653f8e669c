"""Bringing the server up: telling whether one of ours runs, and starting one if not.

The caller holds the start lock throughout.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded_cluster import (
    ENVIRONMENT,
    OWNER,
    keep_password,
    new_password,
    provide_data,
    read_password,
    write_access_rules,
    write_settings,
)
from maitred.storage.embedded_engine import Account, discard_old_engines, server_account, usable_engine
from maitred.storage.embedded_folder import SOCKET_NAME, Folder
from maitred.storage.embedded_locks import POLL_SECONDS, exclusively_held, open_lock, try_exclusive
from maitred.storage.embedded_process import announce, failed, launch, open_log, record_pid, server_state, stop_server

START_SECONDS = 60.0
_LARGEST_LOG = 5_000_000
_GRACE_SECONDS = 2.0
"""How long a server may live that nobody can connect to: it may have been started, or killed, this very moment."""


def bring_up(folder: Folder, extra_settings: Mapping[str, str]) -> None:
    """Have a server running, with a database `maitred` in it. EmbeddedServerFailed when that can't be done."""
    account = server_account(folder)
    if account is not None:
        os.chown(folder.base, -1, account.group)
    folder.base.chmod(0o700 if account is None else 0o710)
    lock = open_lock(folder.server_lock)
    try:
        if _running(lock, folder, account):
            return
        log_length = _start(lock, folder, account, extra_settings)
    finally:
        os.close(lock)  # from here on the server alone holds it
    _wait_until_ready(folder, log_length)
    if not folder.password.exists():
        _replace_password(folder, account)
    problem = _provide_database(folder)
    if problem is not None:
        raise EmbeddedServerFailed(problem)


def url(folder: Folder, database: str) -> str:
    """The address of a database, with the password. EmbeddedServerFailed when the folder lacks what that takes."""
    password, host = quote(read_password(folder), safe=""), quote(os.fsencode(folder.socket_folder()), safe="")
    return f"postgresql://{OWNER}:{password}@/{quote(database, safe='')}?host={host}&port=5432"


def _running(lock: int, folder: Folder, account: Account | None) -> bool:
    """Whether a server of ours is up and lets us in. Waits for one that is on its way up or down.

    One that can't be reached any more, because its pid file, its data or its socket was removed, is stopped. On
    False the lock is ours: no process of an earlier server lives, whatever its pid file says.
    """
    now = time.monotonic()
    deadline, grace_ends = now + START_SECONDS, now + _GRACE_SECONDS
    while not try_exclusive(lock):
        state = server_state(lock, folder)
        reachable = state == "ready" and _listens(folder, account)
        problem = _provide_database(folder) if reachable else None
        if reachable and problem is None:
            return True
        now = time.monotonic()
        if problem is not None and now > grace_ends:
            raise EmbeddedServerFailed(problem)
        if not reachable and state != "starting" and now > grace_ends and not stop_server(lock, folder):
            raise EmbeddedServerFailed(f"processes of an earlier server in {folder.base} can't be stopped")
        if now > deadline:
            raise failed("the server is still recovering: try again later", folder, 0)
        time.sleep(POLL_SECONDS)
    return False


def _start(lock: int, folder: Folder, account: Account | None, extra_settings: Mapping[str, str]) -> int:
    """Launch a server, and return how long the log was before. The server lock is ours and becomes the server's too."""
    engine = usable_engine(folder, account)
    discard_old_engines(folder, engine)
    if folder.log.exists() and folder.log.stat().st_size > _LARGEST_LOG:
        folder.log.replace(folder.old_log)
    sockets = _provide_socket_folder(folder, account)
    write_settings(folder, account, sockets, extra_settings)
    provide_data(folder, engine, account, lock, durable=extra_settings.get("fsync", "on") == "on")
    # Whatever these say is of a server that is gone.
    (folder.data / "postmaster.pid").unlink(missing_ok=True)
    for left in sockets.iterdir():
        left.unlink()
    write_access_rules(folder, account, password_lost=not folder.password.exists())
    with open_log(folder) as log:
        log_length = log.tell()
        pid = launch(
            [engine / "bin" / "postgres", "-D", folder.data, *folder.settings_arguments, "-c", announce(lock)],
            environment=ENVIRONMENT,
            output=log,
            inherited=(lock,),
            user=None if account is None else account.user,
            group=None if account is None else account.group,
        )
    record_pid(lock, pid)
    return log_length


def _wait_until_ready(folder: Folder, log_length: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    lock = open_lock(folder.server_lock)
    try:
        while server_state(lock, folder) != "ready":
            if not exclusively_held(lock):
                raise failed("the server ended at its start", folder, log_length)
            if time.monotonic() > deadline:
                raise failed("the server is still starting: try again later", folder, log_length)
            time.sleep(POLL_SECONDS)
    finally:
        os.close(lock)


def _replace_password(folder: Folder, account: Account | None) -> None:
    import psycopg
    from psycopg import sql

    sockets, password = str(folder.socket_folder()), new_password()
    with psycopg.connect(host=sockets, port=5432, user=OWNER, dbname="postgres", autocommit=True) as connection:
        change = sql.SQL("ALTER ROLE {} PASSWORD {}")
        connection.execute(change.format(sql.Identifier(OWNER), sql.Literal(password)))
        keep_password(folder, password)
        write_access_rules(folder, account)
        connection.execute("SELECT pg_reload_conf()")


def _provide_socket_folder(folder: Folder, account: Account | None) -> Path:
    sockets = folder.socket_folder()
    try:
        sockets.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_ours(sockets, account):
            raise EmbeddedServerFailed(f"{sockets} was made by somebody else: have it removed") from None
        sockets.chmod(0o700)
    if account is not None:
        os.chown(sockets, *account.owns)
    return sockets


def _listens(folder: Folder, account: Account | None) -> bool:
    sockets = folder.socket_folder()
    return _is_ours(sockets, account) and (sockets / SOCKET_NAME).is_socket()


def _is_ours(sockets: Path, account: Account | None) -> bool:
    """Whether it is a folder that only the server or we can have made. It may stand in /tmp, where others make some."""
    try:
        found = sockets.lstat()
    except FileNotFoundError:
        return False
    owners = {os.geteuid()} if account is None else {os.geteuid(), account.user}
    return stat.S_ISDIR(found.st_mode) and found.st_uid in owners


def _provide_database(folder: Folder) -> str | None:
    """Make the database `maitred` if there is none. Returns what is wrong with a server that doesn't let us."""
    import psycopg

    try:
        with psycopg.connect(url(folder, "postgres"), connect_timeout=10, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (OWNER,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {OWNER}")
    except psycopg.Error as error:
        return f"the server in {folder.base} runs but can't be used: {error}"
    return None
