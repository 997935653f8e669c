"""All benchmarks, one after the other, as one JSON object; or some of them: `python -m benchmarks planner day`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ALL = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def run(name: str) -> Any:
    """What `python -m benchmarks.<name>` prints. A process of its own, so that none warms up another."""
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"benchmark": name, "failed": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout)


def main() -> None:
    wanted = sys.argv[1:] or ALL
    if unknown := set(wanted) - set(ALL):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    results = {name: run(name) for name in wanted}
    json.dump({"machine": machine, "benchmarks": results}, sys.stdout, indent=1)
    print()
    if any(isinstance(result, dict) and "failed" in result for result in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
