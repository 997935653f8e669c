"""The folder in which one embedded server lives: what it holds, and the proof that it is ours."""

from __future__ import annotations

import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from maitred.errors import EmbeddedServerFailed

SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 100
"""Bytes. A socket's path ends at 108 on Linux and at 104 on macOS, the closing zero included."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Names of what a base folder holds. Making one touches nothing."""

    base: Path

    @property
    def marker(self) -> Path:
        """Says that the folder is ours, and holds the id that names its socket folder."""
        return self.base / "maitred-server.json"

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def half_made_data(self) -> Path:
        """Where initdb works. Renamed to `data` when it is complete, so that `data` is never half made."""
        return self.base / "data.partial"

    @property
    def password(self) -> Path:
        return self.base / "password"

    @property
    def settings(self) -> Path:
        return self.base / "postgresql.conf"

    @property
    def access_rules(self) -> Path:
        return self.base / "pg_hba.conf"

    @property
    def settings_arguments(self) -> tuple[str, ...]:
        """What tells a server to read its settings here and not in the data folder, where it may write itself."""
        return "-c", f"config_file={self.settings}", "-c", f"hba_file={self.access_rules}"

    @property
    def log(self) -> Path:
        return self.base / "log"

    @property
    def old_log(self) -> Path:
        return self.base / "log.1"

    @property
    def start_lock(self) -> Path:
        """Held by whoever starts, stops or removes the server."""
        return self.base / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by every process that uses the server; the watcher waits until nobody has it."""
        return self.base / "users.lock"

    @property
    def server_lock(self) -> Path:
        """Inherited by the server and all its processes: held means that one of them lives.."""
        return self.base / "server.lock"

    @property
    def watcher_lock(self) -> Path:
        """Inherited by the watcher."""
        return self.base / "watcher.lock"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that we make, in the order in which they may be deleted."""
        return (
            *(self.password, _partial(self.password), self.settings, _partial(self.settings)),
            *(self.access_rules, _partial(self.access_rules), self.log, self.old_log),
            *(self.server_lock, self.watcher_lock, self.users_lock),
            *(self.marker, _partial(self.marker), self.start_lock),
        )

    def engines(self) -> list[Path]:
        """Copies of the PostgreSQL programs, made where the server's user can't reach the originals."""
        return sorted(self.base.glob("engine-*"))

    def socket_folder(self) -> Path:
        """Where the server listens.

        Named by the marker's random id: a server whose base folder was removed unlinks its socket by name when it
        ends, which must not hit the socket of the server that came after it. Under /tmp when the path is too long for
        a socket or has what clients stumble over, such as a comma; nobody can guess that name beforehand.
        """
        name = f"socket-{self._id()}"
        inside = self.base / name
        short = len(os.fsencode(inside / SOCKET_NAME)) <= _LONGEST_SOCKET_PATH
        if short and str(inside).isprintable() and "," not in str(inside):
            return inside
        return Path("/tmp") / f"maitred-{name}"  # noqa: S108 - the owner is verified; TMPDIR differs between processes

    def _id(self) -> str:
        try:
            return str(json.loads(self.marker.read_text())["id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EmbeddedServerFailed(f"{self.marker} can't be read: {error}") from error

    def mark(self) -> None:
        """Write the marker if there is none. The caller holds the start lock and has made nothing else yet."""
        if self.marker.exists():
            return
        text = json.dumps({"about": "embedded PostgreSQL server of maitred", "id": secrets.token_hex(6)})
        write_whole(self.marker, text, 0o600)

    def is_ours(self) -> bool:
        """Whether it may be used: it has our marker, or holds nothing but a first start that got no further."""
        present = {entry.name for entry in self.base.iterdir()}
        first = {self.start_lock.name, _partial(self.marker).name}
        return present <= first or self.marker.exists()  # looked for last: it is made before all but the first two


def claim(base: Path) -> Folder:
    """Make the folder, or accept one that is empty or ours already.

    EmbeddedServerFailed when it holds other things, belongs to another user, or can't be made.
    """
    folder = Folder(base)
    try:
        _make(base)
        check_owner(base)
        ours = folder.is_ours()
    except OSError as error:
        raise EmbeddedServerFailed(f"{base} can't be used: {error.strerror}; MAITRED_DATA_DIR names another") from error
    if not ours:
        raise EmbeddedServerFailed(
            f"{base} holds other things than an embedded server: set MAITRED_DATA_DIR to a new or empty folder"
        )
    return folder


def check_owner(base: Path) -> None:
    """EmbeddedServerFailed when the folder belongs to somebody else; OSError when it can't be looked at."""
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerFailed(f"{base} is not a folder: set MAITRED_DATA_DIR to one")
    if found.st_uid != os.geteuid():
        raise EmbeddedServerFailed(f"{base} belongs to another user: set MAITRED_DATA_DIR to a folder of your own")


def _make(base: Path) -> None:
    as_root = os.geteuid() == 0
    for parent in reversed(base.parents):
        if parent.exists():
            continue
        with suppress(FileExistsError):
            parent.mkdir(mode=0o700)
            if as_root:  # its server runs as somebody else, who must get through; only folders made here are opened
                parent.chmod(0o711)
    base.mkdir(mode=0o700, exist_ok=True)


def write_whole(path: Path, text: str, mode: int, group: int = -1) -> None:
    """Write a file so that it is there with all its text or not at all, even after a crash."""
    partial = _partial(path)
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fchown(handle, -1, group)
        os.fchmod(handle, mode)
        os.fsync(handle)
    partial.replace(path)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
