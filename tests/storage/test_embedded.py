"""The embedded server is shared by processes, and gone after the last of them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from tests.storage.embedded_user import (
    FAST,
    User,
    alive,
    answers,
    eventually,
    pid_of,
    place_for_base,
    stops,
    users,
    waits_for,
)

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded import EmbeddedServer
from maitred.storage.embedded_folder import Folder
from maitred.storage.embedded_locks import open_lock, take_exclusive, take_shared


@pytest.fixture
def empty() -> Iterator[Path]:
    """A base that does not exist yet."""
    with place_for_base() as base:
        yield base


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with place_for_base() as base:
        with EmbeddedServer(base, extra_settings=FAST):
            pass
        yield base


@pytest.fixture
def base(made: Path) -> Iterator[Path]:
    """A base whose server has run before and doesn't now. Tests leave it so, for the next one."""
    assert stops(made)
    yield made
    assert stops(made)


def watcher_of(base: Path) -> int:
    found = subprocess.run(["pgrep", "-f", f"embedded_watch {base} "], capture_output=True, text=True, check=False)
    assert len(found.stdout.split()) == 1, "exactly one watcher runs"
    return int(found.stdout)


def test_the_first_process_to_leave_does_not_stop_the_server_and_the_last_one_does(base: Path) -> None:
    with users(base, 2) as (first, second):
        url = first.start()
        assert second.start() == url
        first.release()
        first.end()
        assert answers(url)
        second.release()
        assert stops(base)


def test_a_killed_process_counts_as_gone(base: Path) -> None:
    with users(base, 2) as (first, second):
        url = first.start()
        second.start()
        first.kill()
        assert answers(url)
        second.release()
        assert stops(base)


def test_when_all_processes_are_killed_the_server_stops_and_the_next_start_finds_what_was_committed(base: Path) -> None:
    with users(base, 3) as three:
        for user in three:
            url = user.start()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 117 AS bookings")
        for user in three:
            user.kill()
    assert stops(base)
    with EmbeddedServer(base) as server, psycopg.connect(server.database_url("maitred")) as connection:
        assert connection.execute("SELECT bookings FROM kept").fetchone() == (117,)


def test_a_forked_child_keeps_the_server_for_as_long_as_it_lives(base: Path) -> None:
    server = EmbeddedServer(base, extra_settings=FAST)
    url = server.start()
    child = subprocess.Popen(["sleep", "60"], pass_fds=[server._lease or -1])  # what a fork inherits
    server.release()
    assert answers(url)
    child.kill()
    child.wait()
    assert stops(base)


def test_eight_first_starts_at_once_make_one_server_with_one_database(empty: Path) -> None:
    with users(empty, 8) as eight:
        for user in eight:
            user.ask_to_start()
        urls = {user.url() for user in eight}
        assert len(urls) == 1
        with psycopg.connect(urls.pop()) as connection:
            databases = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
            assert sorted(databases) == [("maitred",), ("postgres",)]
        assert (empty / "log").read_text().count("ready to accept connections") == 1
        watcher_of(empty)
        for user in eight:
            user.kill()
    assert stops(empty)


def test_a_start_that_meets_the_stop_of_the_server_gets_a_server_that_stays(base: Path) -> None:
    quick = """
import random, sys, time
from pathlib import Path
import psycopg
from maitred.storage.embedded import EmbeddedServer
from maitred.storage.embedded_folder import Folder
from maitred.storage.embedded_locks import open_lock, take_exclusive, take_shared
for _ in range(20):
    time.sleep(random.uniform(0, 0.1))
    with EmbeddedServer(Path(sys.argv[1]), extra_settings={"fsync": "off"}) as server:
        for _ in range(3):
            psycopg.connect(server.database_url("maitred")).close()
"""
    starts_before = (base / "log").read_text().count("ready to accept connections")
    two = [subprocess.Popen([sys.executable, "-c", quick, str(base)]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in two] == [0, 0]
    starts = (base / "log").read_text().count("ready to accept connections") - starts_before
    assert starts > 1, "the server was never stopped between"
    assert stops(base)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="who waits for a lock is listed on Linux only")
def test_a_watcher_that_finds_a_new_user_when_it_gets_its_turn_lets_the_server_be(base: Path) -> None:
    with users(base, 2) as (first, second):
        url = first.start()
        watcher = watcher_of(base)
        turn = take_exclusive(base / "start.lock", 10, "the lock is taken")
        first.release()
        assert eventually(lambda: waits_for(watcher, base / "start.lock")), "it saw that nobody was left"
        lease = open_lock(base / "users.lock")
        take_shared(lease, 10, "the lock is taken")
        os.close(turn)
        assert eventually(lambda: waits_for(watcher, base / "users.lock"))
        assert answers(url)
        assert second.start() == url
        os.close(lease)


def test_a_server_killed_outright_is_up_again_after_another_start_by_the_same_user(base: Path) -> None:
    with EmbeddedServer(base) as server:
        url = server.database_url("maitred")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 117 AS bookings")
        os.kill(pid_of(base), signal.SIGKILL)
        assert server.start() == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT bookings FROM kept").fetchone() == (117,)
    assert stops(base)


def test_a_server_told_to_end_while_in_use_is_up_again_after_another_start(base: Path) -> None:
    with EmbeddedServer(base, extra_settings=FAST) as server, psycopg.connect(server.database_url("maitred")):
        os.kill(pid_of(base), signal.SIGTERM)  # PostgreSQL waits for its clients, and lets nobody in meanwhile
        assert answers(server.start())


def test_a_killed_watcher_is_replaced_when_its_last_user_leaves(base: Path) -> None:
    with EmbeddedServer(base, extra_settings=FAST):
        watcher = watcher_of(base)
        os.kill(watcher, signal.SIGKILL)
        assert eventually(lambda: not alive(watcher))
    assert stops(base)


def test_a_killed_watcher_is_replaced_at_the_next_start(base: Path) -> None:
    with users(base, 1) as (user,):
        url = user.start()
        watcher, server = watcher_of(base), pid_of(base)
        os.kill(watcher, signal.SIGKILL)
        assert eventually(lambda: not alive(watcher))
        user.kill()
    assert answers(url), "nobody was left to stop it"
    with EmbeddedServer(base):
        assert pid_of(base) == server
        watcher_of(base)
    assert stops(base)


def test_nothing_of_a_user_reaches_the_server_or_the_watcher(base: Path) -> None:
    with tempfile.TemporaryFile() as file, EmbeddedServer(base, extra_settings=FAST):
        os.set_inheritable(file.fileno(), True)
        for pid in (pid_of(base), watcher_of(base)):
            opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
            locks = sorted(Path(name).name for name in opened if name.endswith(".lock"))
            assert locks in (["server.lock"], ["server.lock", "start.lock", "users.lock", "watcher.lock"])
            assert not any("deleted" in name for name in opened)


def test_release_may_come_twice_and_before_any_start(base: Path) -> None:
    server = EmbeddedServer(base)
    server.release()
    server.start()
    server.release()
    server.release()
    assert stops(base)


def test_what_is_confirmed_survives_a_crash_of_the_machine_because_nothing_was_switched_off(base: Path) -> None:
    with EmbeddedServer(base) as server, psycopg.connect(server.database_url("maitred")) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_a_failing_statement_leaves_nothing_of_its_values_in_the_log(base: Path) -> None:
    with (
        EmbeddedServer(base, extra_settings=FAST) as server,
        psycopg.connect(server.database_url("maitred"), autocommit=True) as connection,
    ):
        connection.execute("CREATE TEMPORARY TABLE guest (mail text UNIQUE)")
        connection.execute("INSERT INTO guest VALUES ('ada@example.org')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO guest VALUES ('ada@example.org')")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT 'ada@example.org'::int")
    assert "ada" not in (base / "log").read_text()


def test_status_starts_nothing_and_makes_nothing(empty: Path) -> None:
    status = EmbeddedServer(empty).status()
    assert (status.running, status.pid, status.data_bytes, status.socket) == (False, None, 0, None)
    assert status.postgresql_version.startswith("18.")
    assert not empty.exists()


def test_status_says_what_runs_and_how_much_it_holds(base: Path) -> None:
    with EmbeddedServer(base, extra_settings=FAST) as server:
        status = server.status()
        assert status.running
        assert status.base == base
        assert status.data_bytes > 10_000_000
        assert status.socket is not None
        assert (status.socket / ".s.PGSQL.5432").is_socket()


def test_remove_is_refused_while_another_process_uses_the_server(base: Path) -> None:
    with users(base, 1) as (user,):
        url = user.start()
        with pytest.raises(EmbeddedServerFailed, match="used by another process"):
            EmbeddedServer(base).remove()
        assert answers(url)


def test_remove_waits_for_a_watcher_that_looks_whether_anybody_is_left(empty: Path) -> None:
    server = EmbeddedServer(empty, extra_settings=FAST)
    server.start()
    server.release()
    looks = take_exclusive(Folder(empty).users_lock, 10, "the watcher still has it")
    threading.Timer(0.2, os.close, [looks]).start()
    EmbeddedServer(empty).remove()
    assert not empty.exists()


def test_remove_stops_the_server_and_leaves_nothing(empty: Path) -> None:
    server = EmbeddedServer(empty, extra_settings=FAST)
    server.start()
    pid = pid_of(empty)
    server.remove()
    assert eventually(lambda: not alive(pid))
    assert not empty.exists()
    server.remove()


def test_remove_leaves_what_is_not_its_own(empty: Path) -> None:
    with EmbeddedServer(empty, extra_settings=FAST):
        pass
    (empty / "menu.txt").write_text("soup")
    EmbeddedServer(empty).remove()
    assert [path.name for path in empty.iterdir()] == ["menu.txt"]


def test_remove_is_refused_for_a_folder_that_is_not_a_server_s(empty: Path) -> None:
    (empty / "data").mkdir(parents=True)
    with pytest.raises(EmbeddedServerFailed, match="nothing was removed"):
        EmbeddedServer(empty).remove()
    assert (empty / "data").is_dir()


def test_starts_and_removals_at_once_end_in_a_server_or_in_nothing(empty: Path) -> None:
    with EmbeddedServer(empty, extra_settings=FAST):
        pass
    user = User(empty)
    user.ask_to_start()
    try:
        for _ in range(5):
            with suppress(EmbeddedServerFailed):  # when it is used already
                EmbeddedServer(empty).remove()
        assert answers(user.url())
    finally:
        user.kill()
