"""Makes ops/: Prometheus alert rules and a Grafana dashboard, from the objectives and the registry of events.

    python -m maitred.observability.monitoring ops

A test compares what is made with what is there.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maitred.observability import catalogue
from maitred.observability.objectives import OBJECTIVES, Objective

_LEAST_MISSES = 5
_MADE = "Made by `make ops`; edit src/maitred/observability/monitoring.py or objectives.py instead."


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert goes off when the error budget is used this many times too fast in both windows.

    The long window says that it matters, the short one that it still goes on.
    """

    factor: float
    long: str
    short: str
    severity: str


BURNS: Final = (
    Burn(14.4, "1h", "5m", "critical"),  # a month's budget in two days
    Burn(6.0, "6h", "30m", "critical"),  # in five days
    Burn(1.0, "3d", "6h", "warning"),  # just used up
)


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. `hold` is how long the expression must be true."""

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str


def missed(objective: Objective, window: str) -> str:
    """PromQL: the share that missed the objective in the window."""
    return f"1 - {_in_time(objective, 'rate', window)} / {_all(objective, 'rate', window)}"


def _in_time(objective: Objective, how: str, window: str) -> str:
    return f'sum by (job) ({how}({objective.histogram}_bucket{{le="{objective.limit_s!r}"}}[{window}]))'


def _all(objective: Objective, how: str, window: str) -> str:
    chosen = f"{{{objective.excluding}}}" if objective.excluding else ""
    return f"sum by (job) ({how}({objective.counted}{chosen}[{window}]))"


def least(objective: Objective, burn: Burn) -> int:
    """So many must have happened in the long window: fewer say nothing, or fewer than five misses would be enough."""
    return max(objective.least, math.ceil(_LEAST_MISSES / (burn.factor * objective.allowed)))


def alerts() -> Iterator[Alert]:
    """All rules."""
    for objective in OBJECTIVES:
        for burn in BURNS:
            limit = f"{burn.factor * objective.allowed:.6g}"
            yield Alert(
                name=f"Maitred{_camel(objective.name)}Burns{burn.long}",
                expr=f"({missed(objective, burn.long)}) > {limit} and ({missed(objective, burn.short)}) > {limit}"
                f" and {_all(objective, 'increase', burn.long)} >= {least(objective, burn)}",
                hold="2m",
                severity=burn.severity,
                summary=f"{objective.title}: too many miss {objective.limit_s:g} s",
                description=f"{objective.share:.0%} within {objective.limit_s:g} s is the objective. In the last"
                f" {burn.long} {{{{ $value | humanizePercentage }}}} missed it:"
                f" the error budget goes {burn.factor:g} times as fast as planned or faster.",
            )
    yield Alert(
        "MaitredEventsDropped",
        "sum by (job, reason) (increase(maitred_recorder_dropped_total[10m])) > 0",
        "0m",
        "warning",
        "Measurements are lost ({{ $labels.reason }})",
        "Reports of this time are incomplete; `maitred events check` says by how much. docs/exports.md lists reasons.",
    )
    yield Alert(
        "MaitredMessagesDead",
        "max by (job) (maitred_messages_dead) > 0",
        "5m",
        "warning",
        "{{ $value }} messages were given up",
        "Guests or venues have not been told. `maitred messages` lists them and sends them again.",
    )
    yield Alert(
        "MaitredMessagesLate",
        "max by (job) (maitred_messages_late_seconds) > 900",
        "5m",
        "warning",
        "Messages have been due for {{ $value | humanizeDuration }}",
        "The mail server or an endpoint is away, or no worker delivers.",
    )
    yield Alert(
        "MaitredRunsOverdue",
        "max by (job) (maitred_runs_overdue) > 0",
        "5m",
        "critical",
        "{{ $value }} runs wait for an attempt that was due more than a minute ago",
        "No worker takes jobs, or there are too few for the load.",
    )
    yield Alert(
        "MaitredDatabaseAway",
        "max by (job, instance) (maitred_database_up) == 0",
        "2m",
        "critical",
        "{{ $labels.instance }} gets no answer from its database",
        "Nothing can be quoted or confirmed there; measurements wait in memory.",
    )
    yield Alert(
        "MaitredAway",
        "absent(maitred_build_info)",
        "5m",
        "critical",
        "No maitred process answers",
        "Either none runs, or MAITRED_METRICS_ADDRESS is not set, or the scrape goes elsewhere.",
    )


def rules() -> str:
    """The rule file. Its strings are JSON, which YAML reads as they are."""
    lines = [f"# {_MADE}", "groups:", "  - name: maitred", "    rules:"]
    for alert in alerts():
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expr)}",
            f"        for: {alert.hold}",
            f"        labels: {{severity: {alert.severity}}}",
            "        annotations:",
            f"          summary: {json.dumps(alert.summary)}",
            f"          description: {json.dumps(alert.description)}",
        ]
    return "\n".join(lines) + "\n"


def dashboard() -> str:
    """The dashboard, for Grafana 9 or newer; the data source is chosen when it is opened."""
    panels: list[dict[str, Any]] = []
    for objective in OBJECTIVES:
        quantiles = {
            f"p{share * 100:g}": f"histogram_quantile({share},"
            f" sum by (le) (rate({objective.histogram}_bucket{_JOB}[$__rate_interval])))"
            for share in (0.5, 0.95, 0.99)
        }
        panels += [
            _panel(objective.title, quantiles, unit="s", line=objective.limit_s),
            _panel(
                f"{objective.title}: missed {objective.limit_s:g} s",
                {f"in {window}": missed(objective, window) for window in ("1h", "6h", "3d")},
                unit="percentunit",
                line=objective.allowed,
            ),
        ]
    panels += [
        _panel("Runs that ended", {"{{result}}": _RUNS_ENDED}, unit="ops"),
        _panel("Inline attempts", {"{{result}}": _rate("result", "maitred_inline_attempts_total")}, unit="ops"),
        _panel("Refusals", {"{{category}}": _rate("category", "maitred_planner_refusals_total")}, unit="ops"),
        _panel(
            "Planner: lost races, errors, cache hits",
            {
                what: f"sum(rate(maitred_planner_{name}_total{_JOB}[$__rate_interval]))"
                for what, name in (("lost races", "lost_races"), ("errors", "errors"), ("cache hits", "cache_hits"))
            },
            unit="ops",
        ),
        _panel("Live runs", {"live": _max("maitred_runs_live"), "overdue": _max("maitred_runs_overdue")}),
        _panel("Messages", {"waiting": _max("maitred_messages_waiting"), "dead": _max("maitred_messages_dead")}),
        _panel("Messages: longest due", {"late": _max("maitred_messages_late_seconds")}, unit="s"),
        _panel(
            "Recorder",
            {
                **{
                    what: f"sum(rate(maitred_recorder_{what}_total{_JOB}[$__rate_interval]))"
                    for what in ("accepted", "written", "spilled")
                },
                "dropped: {{reason}}": _rate("reason", "maitred_recorder_dropped_total"),
            },
            unit="ops",
        ),
    ]
    for source, names in sorted(_by_source().items()):
        chosen = "|".join(name.replace(".", r"\\.") for name in names)
        expr = f'sum by (event) (rate(maitred_events_total{{job=~"$job", event=~"{chosen}"}}[$__rate_interval]))'
        panels.append(_panel(f"Events of {source}", {"{{event}}": expr}, unit="ops"))
    for number, panel in enumerate(panels):
        panel["id"] = number + 1
        panel["gridPos"] = {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)}
    document = {
        "uid": "maitred",
        "title": "maitred",
        "description": _MADE,
        "tags": ["maitred"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "job",
                    "type": "query",
                    "datasource": _DATASOURCE,
                    "query": "label_values(maitred_build_info, job)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels,
    }
    return json.dumps(document, indent=2) + "\n"


_JOB = '{job=~"$job"}'
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _by_source() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in catalogue.declarations():
        if each.rides != "transaction":  # those don't pass the recorder; runs that ended are counted as such
            found.setdefault(each.source, []).append(each.name)
    return found


# Every process tells of all runs there are.
_RUNS_ENDED = f"max by (result) (sum by (instance, result) (rate(maitred_runs_ended_total{_JOB}[$__rate_interval])))"


def _rate(label: str, name: str) -> str:
    return f"sum by ({label}) (rate({name}{_JOB}[$__rate_interval]))"


def _max(name: str) -> str:
    return f"max({name}{_JOB})"


def _panel(title: str, targets: dict[str, str], *, unit: str = "short", line: float | None = None) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {"fillOpacity": 5, "showPoints": "never"}
    if line is not None:
        steps.append({"color": "red", "value": line})
        custom["thresholdsStyle"] = {"mode": "line"}
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _DATASOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expr, "legendFormat": legend, "datasource": _DATASOURCE}
            for index, (legend, expr) in enumerate(targets.items())
        ],
    }


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def files() -> dict[str, str]:
    """What belongs into ops/, by path."""
    return {"prometheus/alerts.yml": rules(), "grafana/maitred.json": dashboard()}


def main() -> None:
    """Writes them into the folder named on the command line."""
    for name, text in files().items():
        path = Path(sys.argv[1]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
