"""A new user's first booking over HTTP: the lines of README and docs/api.md, run as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import environment, maitred

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/api.md")
BLOCK = re.compile(r"^```[a-z]*\n((?:\S*/)?maitred serve\b.*?)^```", re.MULTILINE | re.DOTALL)


def lines_of(document: str) -> str | None:
    """The block that begins with `maitred serve`."""
    found = BLOCK.search((ROOT / document).read_text())
    return None if found is None else found[1]


def test_there_are_lines_to_begin_with() -> None:
    assert any(lines_of(each) for each in DOCUMENTS)


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="curl and bash are needed")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("document", [each for each in DOCUMENTS if lines_of(each)])
def test_the_lines_end_with_a_confirmed_booking(document: str, database_url: str, tmp_path: Path) -> None:
    lines = lines_of(document)
    assert lines is not None
    assert 1 <= len(re.findall(r"\bcurl\b", lines)) <= 3
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "8080" in lines
    lines = re.sub(r"(?m)^((?:\S*/)?maitred serve)\b", rf"\1 --port {port}", lines).replace("8080", str(port))
    (tmp_path / "maitred").write_text(f'#!/bin/sh\nexec {sys.executable} -m maitred "$@"\n')
    (tmp_path / "maitred").chmod(0o755)
    script = re.sub(r"(?:[\w./-]*/)?\bmaitred (?=serve|keys|import)", f"{tmp_path}/maitred ", lines)
    settings = {"MAITRED_DATABASE_URL": database_url}
    # what `make demo` has left to a user who has just seen it
    venue = maitred("import", ROOT / "src/maitred/demo/data/demo-restaurant-2025-11-06.json", **settings)
    assert venue.code == 0, venue.err
    done = subprocess.run(
        ["bash", "-c", f"trap 'kill $(jobs -p); wait' EXIT\n{script}"],
        cwd=ROOT,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    answers = [json.loads(each) for each in re.findall(r"^\{.*\}$", done.stdout, re.MULTILINE)]
    booked = [each for each in answers if "token" in each]
    assert [each["status"] for each in booked] == ["confirmed"], (done.stdout[-3000:], done.stderr[-3000:])
    assert booked[0]["tables"]
