"""A real PgBouncer in transaction mode, in front of the tests' server."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_START_S = 20.0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _server_part(url: str) -> str:
    known = conninfo_to_dict(url)
    keys = ("host", "port", "user", "password")
    return " ".join(f"{key}={known[key]}" for key in keys if known.get(key))


@pytest.fixture(scope="session")
def pooler(server_url: str) -> Iterator[tuple[str, int]]:
    """Host and port of a pooler with few server connections, so that sessions really change between transactions."""
    if _PROGRAM is None:
        if "CI" in os.environ:
            pytest.fail("CI needs pgbouncer")
        pytest.skip("needs pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="maitred-pooler-"))
    port = _free_port()
    user = conninfo_to_dict(server_url).get("user") or pwd.getpwuid(os.geteuid()).pw_name
    (folder / "users.txt").write_text(f'"{user}" ""\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
* = {_server_part(server_url)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
server_idle_timeout = 5
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
""",
        encoding="utf-8",
    )
    command = [_PROGRAM, "-q", str(folder / "pgbouncer.ini")]
    runs_as = _who_gets_at(server_url)
    for each in (folder, *folder.iterdir()):
        os.chown(each, runs_as.uid, runs_as.gid)
    as_whom: dict[str, Any] = (
        {} if runs_as.uid == os.geteuid() else {"user": runs_as.uid, "group": runs_as.gid, "extra_groups": []}
    )
    process = subprocess.Popen(command, **as_whom)
    try:
        _wait_for(port, process, folder / "pgbouncer.log")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


class _Account(NamedTuple):
    uid: int
    gid: int


def _who_gets_at(server_url: str) -> _Account:
    """It refuses to be root, and into the server's socket folder only its owner gets."""
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid())
    host = str(conninfo_to_dict(server_url).get("host") or "")
    if host.startswith("/"):
        owner = Path(host).stat()
        return _Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return _Account(nobody.pw_uid, nobody.pw_gid)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(encoding="utf-8") if log.exists() else ""
    pytest.fail(f"pgbouncer did not start: {said[-2000:]}")


@pytest.fixture
def pooled_url(pooler: tuple[str, int], database_url: str) -> str:
    """The address of a fresh database, through the pooler."""
    known = conninfo_to_dict(database_url)
    host, port = pooler
    return make_conninfo("", host=host, port=port, user=known.get("user", ""), dbname=known.get("dbname", ""))


@pytest.fixture
def pooled_backends(pooled_url: str) -> int:
    """How many server processes answered ten sessions that were open at once; fewer than ten is a pooler at work."""
    sessions = [psycopg.connect(pooled_url, prepare_threshold=None, autocommit=True) for _ in range(10)]
    try:
        pids = set()
        for session in sessions:
            row = session.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            pids.add(row[0])
        return len(pids)
    finally:
        for session in sessions:
            session.close()
