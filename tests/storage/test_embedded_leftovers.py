"""What a crash, a kill or a careless hand leaves behind does not stop the next start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.storage.embedded_user import FAST, User, alive, answers, eventually, pid_of, place_for_base, stops

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded import EmbeddedServer


@pytest.fixture
def empty() -> Iterator[Path]:
    with place_for_base() as base:
        yield base


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with place_for_base() as base:
        with EmbeddedServer(base, extra_settings=FAST) as server, psycopg.connect(server.start()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 117 AS bookings")
        yield base


@pytest.fixture
def base(made: Path) -> Iterator[Path]:
    """A base whose server has run before and doesn't now."""
    assert stops(made)
    yield made
    assert stops(made)


@pytest.fixture
def neighbour(base: Path) -> Iterator[int]:
    """The number of a process that runs under the server's user and has nothing to do with it."""
    user = (base / "data").stat().st_uid if os.geteuid() == 0 else None
    process = subprocess.Popen(["sleep", "120"], user=user)
    yield process.pid
    assert process.poll() is None, "nobody harmed it"
    process.kill()
    process.wait()


def holds_what_was_committed(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT bookings FROM kept").fetchone() == (117,)


def descendants(name: str, base: Path) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"{name} .*{base}"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.parametrize(
    "left",
    [
        pytest.param("{pid}\n{data}\n1700000000\n5432\n{data}\n\n  1 2\nready\n", id="of another process"),
        pytest.param("1\n{data}\n1700000000\n5432\n{data}\n\n  1 2\nready\n", id="of process 1"),
        pytest.param("{pid}\n{data}\n17", id="half written"),
        pytest.param("", id="empty"),
        pytest.param("\0\xff" * 300, id="garbage"),
        pytest.param("99999999999999999999\n\n\n\n\n\n\nready\n", id="of an impossible process"),
    ],
)
def test_a_pid_file_that_means_nothing_is_no_obstacle(base: Path, neighbour: int, left: str) -> None:
    (base / "data" / "postmaster.pid").write_text(left.format(pid=neighbour, data=base / "data"), encoding="latin-1")
    (base / "server.lock").write_text(f"maitred-0123456789abcdef\n{neighbour}\n")
    status = EmbeddedServer(base).status()
    assert (status.running, status.pid) == (False, None)
    with EmbeddedServer(base, extra_settings=FAST) as server:
        assert holds_what_was_committed(server.database_url("maitred"))
    assert stops(base)


def test_a_socket_and_its_lock_from_before_a_crash_are_no_obstacle(base: Path, neighbour: int) -> None:
    with EmbeddedServer(base, extra_settings=FAST) as server:
        os.kill(pid_of(base), signal.SIGKILL)
    sockets = server.folder.socket_folder()
    assert (sockets / ".s.PGSQL.5432").exists()
    (sockets / ".s.PGSQL.5432.lock").write_text(f"{neighbour}\n{base / 'data'}\n1700000000\n5432\n{sockets}\n")
    with EmbeddedServer(base, extra_settings=FAST) as server:
        assert holds_what_was_committed(server.database_url("maitred"))


def test_a_damaged_pid_file_of_a_running_server_gets_a_server_that_works(base: Path, neighbour: int) -> None:
    with EmbeddedServer(base, extra_settings=FAST) as server:
        doomed = pid_of(base)
        (base / "data" / "postmaster.pid").write_text(f"{neighbour}\nhalf")
        assert holds_what_was_committed(server.start())
        assert eventually(lambda: not alive(doomed))


def test_another_process_s_number_in_the_lock_file_is_not_taken_for_the_server_s(base: Path, neighbour: int) -> None:
    with EmbeddedServer(base, extra_settings=FAST):
        pid = pid_of(base)
        lock = base / "server.lock"
        said = lock.read_text()
        lock.write_text(said.replace(f"\n{pid}\n", f"\n{neighbour}\n"))
        assert pid_of(base) == pid
        lock.write_text(said)


def test_a_removed_socket_gets_a_server_that_works(base: Path) -> None:
    with EmbeddedServer(base, extra_settings=FAST) as server:
        shutil.rmtree(server.folder.socket_folder())
        assert holds_what_was_committed(server.start())


def test_a_data_folder_removed_under_the_server_gets_a_new_server(empty: Path) -> None:
    with EmbeddedServer(empty, extra_settings=FAST) as server:
        doomed = pid_of(empty)
        shutil.rmtree(empty / "data")
        assert answers(server.start())
        assert eventually(lambda: not alive(doomed))


def test_a_base_renamed_under_the_server_still_has_it_and_it_still_stops(base: Path) -> None:
    elsewhere = base.with_name("elsewhere")
    user = User(base)
    user.start()
    pid = pid_of(base)
    base.rename(elsewhere)
    try:
        with EmbeddedServer(elsewhere, extra_settings=FAST) as server:
            assert pid_of(elsewhere) == pid
            user.kill()
            assert holds_what_was_committed(server.database_url("maitred"))
        assert stops(elsewhere)
    finally:
        elsewhere.rename(base)


def test_a_base_removed_under_the_server_gets_a_new_server_which_outlives_the_old_one(empty: Path) -> None:
    user = User(empty)
    user.start()
    doomed = pid_of(empty)
    shutil.rmtree(empty)
    with EmbeddedServer(empty, extra_settings=FAST) as server:
        assert alive(doomed)
        user.kill()
        assert eventually(lambda: not alive(doomed)), "its watcher stops it, though the folder is gone"
        assert answers(server.database_url("maitred"))


def test_a_start_killed_while_it_makes_the_data_leaves_nothing_behind(empty: Path) -> None:
    user = User(empty)
    user.ask_to_start()
    assert eventually((empty / "data.partial" / "global").exists)
    assert not (empty / "data").exists()
    user.kill()
    with EmbeddedServer(empty, extra_settings=FAST) as server:
        assert answers(server.database_url("maitred"))
        assert not list(empty.glob("*.partial"))
        assert not (empty / "password.initdb").exists()


def test_an_initdb_that_is_killed_is_reported_and_leaves_nothing_behind(empty: Path) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", ONE_START, str(empty)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert eventually((empty / "data.partial" / "global").exists)
    for pid in descendants("initdb", empty):
        os.kill(pid, signal.SIGKILL)
    said, _ = user.communicate(timeout=60)
    assert said.startswith("refused: the data folder could not be made")
    assert not (empty / "data").exists()
    assert not list(empty.glob("*.partial"))
    with EmbeddedServer(empty, extra_settings=FAST) as server:
        assert answers(server.database_url("maitred"))


ONE_START = """
import sys
from pathlib import Path
from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded import EmbeddedServer
try:
    EmbeddedServer(Path(sys.argv[1])).start()
except EmbeddedServerFailed as error:
    print("refused:", error)
"""


def test_a_lost_password_is_replaced_when_the_server_starts_anew(base: Path) -> None:
    (base / "password").unlink()
    with EmbeddedServer(base, extra_settings=FAST) as server:
        assert holds_what_was_committed(server.database_url("maitred"))
        assert (base / "password").stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(f"postgresql://maitred@/maitred?host={server.folder.socket_folder()}&port=5432")


def test_a_password_lost_while_the_server_runs_is_an_error_that_says_so(base: Path) -> None:
    with EmbeddedServer(base, extra_settings=FAST) as server:
        password = (base / "password").read_text()
        (base / "password").unlink()
        with pytest.raises(EmbeddedServerFailed, match="password can't be read"):
            server.start()
        (base / "password").write_text(password)
        assert holds_what_was_committed(server.start())


def test_data_of_another_postgresql_version_is_refused_by_both_numbers(base: Path) -> None:
    version = base / "data" / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(EmbeddedServerFailed, match="made by PostgreSQL 17 and this release brings 18"):
            EmbeddedServer(base).start()
    finally:
        version.write_text("18\n")


def test_a_server_that_ends_at_its_start_is_an_error_with_its_last_words(base: Path) -> None:
    with pytest.raises(EmbeddedServerFailed, match="ended at its start") as caught:
        EmbeddedServer(base, extra_settings={"shared_buffers": "soup"}).start()
    assert 'invalid value for parameter "shared_buffers": "soup"' in str(caught.value)
    assert "ready to accept connections" not in str(caught.value), "only what this start wrote"


def test_a_large_log_is_set_aside_at_the_next_start(base: Path) -> None:
    with (base / "log").open("ab") as log:
        log.truncate(6_000_000)
    with EmbeddedServer(base, extra_settings=FAST):
        assert (base / "log").stat().st_size < 100_000
        assert (base / "log.1").stat().st_size == 6_000_000


def test_a_full_disk_is_an_error_that_says_so_and_leaves_no_half_made_data() -> None:
    with place_for_base() as base:
        base.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", base], capture_output=True, text=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
        try:
            with pytest.raises(EmbeddedServerFailed, match="No space left on device"):
                EmbeddedServer(base).start()
            assert not (base / "data").exists()
            assert not list(base.glob("*.partial"))
        finally:
            # The watcher goes too: until then the file system is in use.
            unmount = ["umount", str(base)]
            unmounted = eventually(lambda: subprocess.run(unmount, check=False, capture_output=True).returncode == 0)
        assert unmounted
