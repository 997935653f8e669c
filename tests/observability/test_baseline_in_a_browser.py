"""The page in a real browser: it asks the network for nothing, and nothing is wider than its place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from maitred.observability.baseline_html import render_html
from tests.observability.test_baseline_report import EMPTY, FULL

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LIGHT, DARK = "1", "0"
NO_NETWORK = "http://127.0.0.1:1"  # a proxy that isn't there: also the browser's own chatter gets nowhere

pytestmark = pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="needs chromium")

# What the page says of itself once it is drawn, left in the title. Text must lie within its picture, figures and tables
# within the page (a table may be wider than its section, which then scrolls).
_LOOK = """
<script>
addEventListener("load", () => {
  const wide = document.documentElement;
  const outside = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
          || box.bottom > frame.bottom + 1) outside.push(text.textContent);
    }
  }
  const overlapping = [];
  for (const svg of document.querySelectorAll("svg")) {
    const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
        overlapping.push([one, other]);
    }));
  }
  const style = getComputedStyle(document.body);
  document.title = JSON.stringify({
    overflow: wide.scrollWidth - wide.clientWidth, outside, overlapping, ground: style.backgroundColor,
    resources: performance.getEntriesByType("resource").map(each => each.name),
  });
});
</script>
"""


def look(page: str, folder: Path, scheme: str, width: int) -> dict[str, object]:
    """Opens the page, and says what it found out about itself."""
    assert CHROMIUM is not None, "CI has to have chromium"
    path = folder / "page.html"
    path.write_text(page.replace("</body>", f"{_LOOK}</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--proxy-server={NO_NETWORK}",
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={width},900",
            "--virtual-time-budget=3000",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout, flags=re.DOTALL)
    assert title is not None, done.stderr[-2000:]
    found: dict[str, object] = json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    return found


@pytest.mark.parametrize("width", [500, 1100])
@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_it_opens_without_network_and_nothing_overflows(tmp_path: Path, scheme: str, width: int) -> None:
    found = look(render_html(FULL), tmp_path, scheme, width)
    assert found["overflow"] == 0
    assert found["outside"] == []
    assert found["overlapping"] == []
    assert found["resources"] == []
    assert found["ground"] == ("rgb(251, 250, 248)" if scheme == LIGHT else "rgb(23, 22, 20)")


def test_an_empty_window_opens_too(tmp_path: Path) -> None:
    found = look(render_html(EMPTY), tmp_path, LIGHT, 500)
    assert (found["overflow"], found["resources"]) == (0, [])
