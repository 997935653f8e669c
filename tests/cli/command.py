"""Running the real command, as a user's shell would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without any of maitred's variables, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAITRED_")}
    return {**kept, **settings}


def maitred(*arguments: str | Path, **settings: str) -> Ended:
    """Runs `maitred` to its end. Its output goes to pipes, so it is what a script would see."""
    done = subprocess.run(
        [sys.executable, "-m", "maitred", *map(str, arguments)],
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def one_line(ended: Ended) -> str:
    """What the command said of its failure: nothing on stdout, and one line on stderr."""
    assert ended.out == ""
    assert ended.err.endswith("\n")
    assert ended.err.count("\n") == 1, ended.err
    return ended.err.removesuffix("\n")
