"""What a recorder could not write before its process ended: kept in a file, written by the next start.

One file a producer, readable by its owner only: the producer's progress in the first line, then one event a line. A
lock that the kernel drops tells a file that is being written or read from one that was left. Events carry their
producer's numbers, so a file that is loaded twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from maitred.observability.encoding import LARGEST_EVENT_BYTES, read_again
from maitred.observability.producer import Progress, progress_from_json
from maitred.observability.registry import UnregisteredEvent

if sys.platform != "win32":
    import fcntl

SUFFIX = ".spill"

_FORMAT = 1
_LONGEST_LINE = LARGEST_EVENT_BYTES + 4_096
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def default_spill_dir(data_dir: Path | None) -> Path:
    """Where files go when no setting says otherwise: beside the embedded server's folder if that has a place of its
    own, since it takes nothing else in, and else where a program of this user keeps its state."""
    if data_dir is not None:
        return data_dir.with_name(f"{data_dir.name}-spill")
    from platformdirs import user_state_path

    return user_state_path("maitred") / "spill"


def spill_folder(base: Path, url: str) -> Path:
    """The folder for events of this database: what belongs to one must not be loaded into another."""
    try:
        place = conninfo_to_dict(url)
    except ProgrammingError:
        place = {}
    name = "|".join(str(place.get(key, "")) for key in ("host", "hostaddr", "port", "dbname"))
    return base / hashlib.sha256(name.encode()).hexdigest()[:16]


def spill(folder: Path, progress: Progress, rows: Sequence[str]) -> int:
    """Keeps the rows in a file and returns how many of them; fewer when the disk doesn't take them. Never raises.

    Not forced to the disk: a process that is ending can't wait for a disk that hangs.
    """
    kept, begun_well = 0, False
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun, path = folder / f".{progress.producer.id.hex}", folder / f"{progress.producer.id.hex}{SUFFIX}"
        file = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            _lock(file)
            # Only now it gets the name that a start looks for: locked, so that nobody takes it before it is whole.
            begun.rename(path)
            head = {"spill": _FORMAT, "events": len(rows), **progress.as_json()}
            _write(file, f"{json.dumps(head)}\n")
            begun_well = True
            for row in rows:
                _write(file, f"{row}\n")
                kept += 1
        finally:
            if not begun_well:
                path.unlink(missing_ok=True)
            os.close(file)
    return kept


def _write(file: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(file, data) :]


def _lock(file: int) -> bool:
    if sys.platform == "win32":  # there a file may be loaded twice, which is slower and not wrong
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(slots=True)
class SpillFile:
    """A file that this process alone is loading. Close it after `remove`, or to leave it to the next start."""

    path: Path
    progress: Progress
    promised: int
    _file: Any
    lost: Counter[str] = field(default_factory=Counter)
    read: int = 0

    def rows(self) -> Iterator[str]:
        """The events, encoded anew. Lines that are damaged or unknown are counted in `lost`, the damage by what is
        missing of the promised number."""
        while line := self._file.readline(_LONGEST_LINE):
            if not line.strip():
                continue
            try:
                row = read_again(line.decode("ascii"), str(self.progress.producer.id))
            except UnregisteredEvent:
                self.lost["unregistered"] += 1
            except _DAMAGE:
                continue
            else:
                self.read += 1
                yield row
        missing = self.promised - self.read - self.lost["unregistered"] - self.lost["refused"]
        if missing > 0:
            self.lost["corrupt"] = missing

    def refused(self, count: int) -> None:
        """Counts events that the database would not have."""
        if count:
            self.lost["refused"] += count
            self.read -= count

    def settled(self) -> Progress:
        """The producer's progress once the file is loaded."""
        dropped = Counter(self.progress.dropped) + self.lost
        return replace(self.progress, spilled=self.read, dropped=dict(dropped))

    def remove(self) -> None:
        """Deletes the file. OSError as from unlink."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Gives the file free."""
        self._file.close()


def spilled_files(folder: Path) -> Iterator[SpillFile]:
    """The files that were left here, one after the other, each locked. Nothing that is no file of ours is touched;
    one whose first line is damaged is put aside under another name."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))
    except OSError:
        return
    for path in paths:
        with suppress(OSError):
            if (taken := _take(path)) is not None:
                yield taken


def _take(path: Path) -> SpillFile | None:
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    file = os.fdopen(number, "rb")
    try:
        # gone while we opened it: another start has loaded it
        if not _lock(number) or not path.exists() or path.stat().st_ino != os.fstat(number).st_ino:
            file.close()
            return None
        head = json.loads(file.readline(_LONGEST_LINE))
        if head["spill"] != _FORMAT or type(head["events"]) is not int:
            raise ValueError("another format")
        return SpillFile(path, progress_from_json(head), head["events"], file)
    except _DAMAGE:
        path.rename(path.with_suffix(".damaged"))
        file.close()
        return None
