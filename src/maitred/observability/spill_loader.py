"""Loading what earlier processes left in files, a batch at a time, over the recorder's own connection."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from maitred.observability.event_writer import EventWriter
from maitred.observability.spill import SpillFile, spilled_files
from maitred.observability.telling import tell, warn


class SpillLoader:
    """Loads the files of a folder; without a folder there is nothing to load."""

    def __init__(self, folder: Path | None) -> None:
        self._files: Iterator[SpillFile] = iter(()) if folder is None else spilled_files(folder)
        self._file: SpillFile | None = None
        self._rows: Iterator[str] = iter(())

    def has_more(self) -> bool:
        """Whether there is a file to go on with."""
        if self._file is None:
            self._file = next(self._files, None)
            if self._file is not None:
                self._rows = self._file.rows()
        return self._file is not None

    async def load_some(self, writer: EventWriter, most: int) -> None:
        """Writes the next events of a file; with its last one the file goes. Raises WriterStopped.

        A file that isn't finished, because this process ends first, is left to the next start.
        """
        file = self._file
        if file is None:
            return
        rows = list(islice(self._rows, most))
        if rows:
            refused = await writer.write(rows, lambda: file.progress)
            file.refused(refused)
        if len(rows) < most:
            settled = file.settled()
            await writer.write((), lambda: settled)
            tell("events.spill_loaded", events=settled.spilled, lost=dict(file.lost))
            self._file = None
            try:
                file.remove()
            except OSError:
                warn("events.spill_not_removed")  # it will be loaded once more, which changes nothing
            finally:
                file.close()

    def close(self) -> None:
        """Gives the file that is being loaded free."""
        if self._file is not None:
            self._file.close()
            self._file = None
