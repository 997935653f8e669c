"""Making the data folder, and the settings and access rules that the server reads at each start."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded_engine import MAJOR_VERSION, Account, account_for_initdb
from maitred.storage.embedded_folder import Folder, write_whole
from maitred.storage.embedded_process import failed_saying

OWNER = "maitred"
"""The server's superuser, and the database that a start provides."""
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that PostgreSQL sees of ours: a PGDATA or PGOPTIONS meant for another server must not reach it."""
_RUN_SECONDS = 120
_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "lc_messages": "C",
    # Files in the data folder: a container's /dev/shm may be tiny, and logind empties a user's at logout.
    "dynamic_shared_memory_type": "mmap",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Errors of statements go to who sent them and not to the log: their text and details may hold a guest's data.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_EVERYDAY_RULES = "local all all scram-sha-256\n"
_REPAIR_RULES = "local all all trust\n"


def read_password(folder: Folder) -> str:
    """The superuser's password."""
    try:
        return folder.password.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise EmbeddedServerFailed(
            f"{folder.password} can't be read: {error.strerror}; when it is gone, the next start of the server that "
            "finds no process using it makes a new one"
        ) from error


def new_password() -> str:
    return secrets.token_urlsafe(32)


def keep_password(folder: Folder, password: str) -> None:
    """Keep it in its file, which we alone can read."""
    write_whole(folder.password, password, 0o600)


def provide_data(folder: Folder, engine: Path, account: Account | None, server_lock: int, *, durable: bool) -> None:
    """Make the data folder if there is none. The caller holds the start lock and the server lock.

    initdb inherits the server lock: if this process is killed, the next one waits until initdb has ended too.
    EmbeddedServerFailed when initdb fails or the data is of another PostgreSQL version.
    """
    if folder.half_made_data.exists():
        shutil.rmtree(folder.half_made_data)
    if folder.data.exists():
        _check_version(folder)
        return
    password = new_password()
    keep_password(folder, password)
    shown = folder.password.with_name("password.initdb")
    maker = account_for_initdb(account)
    write_whole(shown, password, 0o600)
    folder.half_made_data.mkdir(mode=0o700)
    if maker is not None:
        os.chown(shown, *maker.owns)
        os.chown(folder.half_made_data, *maker.owns)
    command: list[str | Path] = [
        engine / "bin" / "initdb",
        *("-D", folder.half_made_data, "-U", OWNER, f"--pwfile={shown}", "--auth=scram-sha-256"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        "--no-instructions",
    ]
    if not durable:
        command.append("--no-sync")
    try:
        result = _run(command, maker, inherited=(server_lock,))
        if result.returncode != 0:
            raise failed_saying("the data folder could not be made", folder, result.stdout)
        _complete(folder, account)
    finally:
        shown.unlink(missing_ok=True)
        shutil.rmtree(folder.half_made_data, ignore_errors=True)


def _run(
    command: Sequence[str | Path], account: Account | None, *, inherited: Sequence[int]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - programs of ours with words and paths of ours
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=inherited,
            start_new_session=True,
            user=None if account is None else account.user,
            group=None if account is None else account.group,
            extra_groups=None if account is None else [],
            timeout=_RUN_SECONDS,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServerFailed(f"{Path(command[0]).name} could not be run: {error}") from error


def _complete(folder: Folder, account: Account | None) -> None:
    if account is not None:
        for parent, _, names in os.walk(folder.half_made_data):
            for path in (parent, *(os.path.join(parent, name) for name in names)):  # noqa: PTH118 - a thousand of them
                os.chown(path, *account.owns, follow_symlinks=False)
    folder.half_made_data.rename(folder.data)
    base = os.open(folder.base, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(base)
    finally:
        os.close(base)


def _check_version(folder: Folder) -> None:
    try:
        found = (folder.data / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise EmbeddedServerFailed(f"{folder.data} is not a data folder of PostgreSQL: {error}") from error
    if found != MAJOR_VERSION:
        raise EmbeddedServerFailed(
            f"{folder.data} was made by PostgreSQL {found} and this release brings {MAJOR_VERSION}: dump it with the "
            "release that made it, then remove it"
        )


def write_settings(folder: Folder, account: Account | None, sockets: Path, extra: Mapping[str, str]) -> None:
    """Write what the server reads at its start. Owned by us: the server's own user may read it only."""
    listed = '"' + str(sockets).replace('"', '""') + '"'
    settings = {**_SETTINGS, "unix_socket_directories": listed, **extra}
    lines = ["# Written by maitred at each start. ALTER SYSTEM takes precedence."]
    lines += [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    write_whole(folder.settings, "\n".join(lines) + "\n", 0o640, -1 if account is None else account.group)


def write_access_rules(folder: Folder, account: Account | None, *, password_lost: bool = False) -> None:
    """Write who may connect: those with the password. For as long as it takes to replace a lost one, those who can
    enter the socket's folder, which are the server's user and we.
    """
    rules = _REPAIR_RULES if password_lost else _EVERYDAY_RULES
    write_whole(folder.access_rules, rules, 0o640, -1 if account is None else account.group)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
