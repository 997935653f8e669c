"""The alert rules and the dashboard: current, valid, and about metrics that there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from maitred.observability.metrics import CountedEvents, Metrics, gauge
from maitred.observability.metrics_database import DatabaseFigures
from maitred.observability.monitoring import BURNS, alerts, files, least
from maitred.observability.objectives import OBJECTIVES
from maitred.observability.recorder import NullRecorder

OPS = Path(__file__).parents[2] / "ops"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and "CI" not in os.environ,
    reason="promtool is missing: on Debian and Ubuntu, install the package prometheus",
)


def page() -> str:
    """A page with every metric on it, as a process has it whose database answered once."""
    counted = CountedEvents(NullRecorder())
    metrics = Metrics(counted, NullRecorder())
    figures = DatabaseFigures(None, counted)  # type: ignore[arg-type] # never asked
    figures._row = dict.fromkeys(("waiting", "dead", "late_s", "live", "overdue"), 0)
    figures._known_at = float("inf")
    metrics.more.append(figures.collect)
    return metrics.text().decode()


def promtool(*arguments: str, given: str | None = None) -> None:
    done = subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if given is not None:
        assert not done.stderr.strip(), done.stderr


def expressions() -> Iterator[str]:
    yield from (alert.expr for alert in alerts())
    for panel in json.loads(files()["grafana/maitred.json"])["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("name", sorted(files()))
def test_what_is_there_is_what_the_registry_makes(name: str) -> None:
    assert (OPS / name).read_text(encoding="utf-8") == files()[name], "run make ops"


def test_alerts_and_dashboard_name_only_metrics_that_there_are() -> None:
    there = {sample.name for family in text_string_to_metric_families(page()) for sample in family.samples}
    there |= {re.sub("_total$", "", family.name) for family in text_string_to_metric_families(page())}
    named = {name for expr in expressions() for name in re.findall(r"\bmaitred_\w+", expr)}
    # counters without a label to begin with appear with their first event
    later = {"maitred_planner_refusals_total", "maitred_planner_errors_total", "maitred_planner_cache_hits_total"}
    assert named - there <= later
    for name in later:
        assert f"# TYPE {name} counter" in page()


def test_no_metric_has_a_label_for_a_booking_or_a_venue() -> None:
    labels = {label for f in text_string_to_metric_families(page()) for s in f.samples for label in s.labels}
    assert labels <= {"release", "event", "trigger", "success", "category", "result", "path", "reason", "le"}


def test_every_objective_has_its_limit_as_a_bound_on_the_page() -> None:
    for objective in OBJECTIVES:
        assert re.search(rf'{objective.histogram}_bucket{{[^}}]*le="{objective.limit_s!r}"', page())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: each.name)
def test_fewer_than_five_misses_never_are_an_alert(objective: object) -> None:
    for burn in BURNS:
        share = burn.factor * objective.allowed  # type: ignore[attr-defined] # parametrize loses the type
        assert least(objective, burn) * share >= 5 - 1e-9  # type: ignore[arg-type] # the same


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(OPS / "prometheus/alerts.yml"))


@needs_promtool
def test_the_rules_go_off_when_they_should() -> None:
    promtool("test", "rules", str(OPS / "prometheus/alerts.test.yml"))


@needs_promtool
def test_promtool_has_nothing_against_the_page() -> None:
    promtool("check", "metrics", given=page())


@needs_promtool
def test_promtool_would_find_something() -> None:
    bad = gauge("maitred_bad_total", "a gauge that calls itself a counter", 1)
    metrics = Metrics(CountedEvents(NullRecorder()), NullRecorder())
    metrics.more.append(lambda: [bad])
    with pytest.raises(AssertionError, match="maitred_bad_total"):
        promtool("check", "metrics", given=metrics.text().decode())
