"""What `/metrics` counts, from the same events that are recorded.

`CountedEvents` stands before the recorder. It keeps what record promises: no lock, no I/O, no log, no exception. So it
counts in plain numbers of its own, and prometheus_client only writes them down when somebody asks. Like the recorder it
belongs to one event loop's thread.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Protocol, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from maitred import __version__
from maitred.model.reason import ReasonCategory
from maitred.observability import catalogue, events, inline_events
from maitred.observability.event import Event
from maitred.observability.objectives import INLINE_ATTEMPT, PLANNER_CALL, QUOTE_TO_CONFIRMED, bounds
from maitred.observability.recorder import EventSink
from maitred.observability.registry import glance, nulled_count

OTHER = "other"
"""The label for a word that is in no list; never the word."""

_KNOWN_TRIGGERS = get_args(events.Trigger)
TRIGGERS = (*_KNOWN_TRIGGERS, OTHER)
RESULTS = (*get_args(events.RunResult), OTHER)
CATEGORIES = (*(str(each) for each in ReasonCategory), OTHER)
INLINE_RESULTS = ("succeeded", "no_hold", "quote_error", "confirm_failed", "timeout", "aborted")
OTEL_DROP_REASONS = ("queue_full", "undelivered", "unknown", "unsent", "invalid", "unregistered")
DROP_REASONS = ("closed", "queue_full", "invalid", "unregistered", "refused", "unwritten")

Labels = tuple[str, ...]


def _closed(words: Iterable[str]) -> Callable[[object], str]:
    known: dict[object, str] = {word: word for word in words}

    def label(value: object) -> str:
        return known.get(value, OTHER) if isinstance(value, str) else OTHER

    return label


_trigger, _result, _category = _closed(TRIGGERS), _closed(RESULTS), _closed(CATEGORIES)


class RecorderFigures(Protocol):
    """What a recorder tells of itself."""

    @property
    def accepted(self) -> int: ...

    @property
    def written(self) -> int: ...

    @property
    def spilled(self) -> int: ...

    @property
    def dropped(self) -> Mapping[str, int]: ...


class Durations:
    """A histogram: how many durations in seconds were at most each bound, by labels."""

    def __init__(self, limits: tuple[float, ...], expected: Iterable[Labels] = ()) -> None:
        """`expected` labels are told from the beginning: of a series that begins with 1 no rate sees the first."""
        self.limits = limits
        self._counts: dict[Labels, list[int]] = {each: [0] * (len(limits) + 1) for each in expected}
        self._sums: dict[Labels, float] = dict.fromkeys(self._counts, 0.0)

    def observe(self, labels: Labels, seconds: float) -> None:
        """Counts one."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self.limits) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(self.limits, seconds)] += 1
        self._sums[labels] += seconds

    def family(self, name: str, told: str, labels: Labels) -> HistogramMetricFamily:
        """The histogram as it is now."""
        family = HistogramMetricFamily(name, told, labels=labels)
        for values, counts in self._counts.items():
            buckets, below = [], 0
            for limit, count in zip((*self.limits, math.inf), counts, strict=True):
                below += count
                buckets.append(("+Inf" if limit == math.inf else repr(limit), below))
            family.add_metric(values, buckets, self._sums[values])
        return family


class CountedEvents:
    """An event sink that passes every event on and counts it.

    Of a value only what is in a closed list becomes a label, and only a finite number a duration.
    """

    def __init__(self, sink: EventSink) -> None:
        self._pass_on = sink.record_observability_event
        self.by_type: Counter[str] = Counter({each.name: 0 for each in catalogue.declarations()})
        self.uncounted = 0
        self.lost_races = 0
        self.refusals: Counter[Labels] = Counter()
        self.cache_hits: Counter[Labels] = Counter()
        self.planner_errors: Counter[Labels] = Counter()
        self.inline_attempts: Counter[Labels] = Counter({(each,): 0 for each in INLINE_RESULTS})
        self.runs_ended: Counter[Labels] = Counter(dict.fromkeys(product(_KNOWN_TRIGGERS, RESULTS[:-1]), 0))
        self.planner_calls = Durations(bounds(PLANNER_CALL), product(_KNOWN_TRIGGERS, ("true", "false")))
        self.inline_durations = Durations(bounds(INLINE_ATTEMPT), [("succeeded",), ("no_hold",), ("timeout",)])
        self.to_confirmed = Durations(bounds(QUOTE_TO_CONFIRMED), [("inline",), ("run",)])
        self._by_name: dict[str, Callable[[Event], None]] = {
            events.QUOTE.name: self._quote,
            inline_events.SUCCEEDED.name: self._inline_succeeded,
            inline_events.NO_HOLD_GIVEN.name: self._inline("no_hold", "durationMs"),
            inline_events.QUOTE_ERROR.name: self._inline("quote_error", None),
            inline_events.CONFIRM_FAILED.name: self._inline("confirm_failed", None),
            inline_events.TIMEOUT.name: self._inline("timeout", "elapsedMs"),
            inline_events.OPERATION_ABORTED.name: self._inline("aborted", None),
        }

    def record_observability_event(self, event: Event) -> None:
        """Passes the event on, then counts it. Never waits, never raises."""
        self._pass_on(event)
        try:
            name = event.event_type
            if name not in self.by_type:
                self.uncounted += 1
                return
            self.by_type[name] += 1
            count = self._by_name.get(name)
            if count is not None:
                count(event)
        except Exception:  # noqa: BLE001 - whatever was handed in, the caller must not fail for being counted
            self.uncounted += 1

    def run_ended(self, trigger: object, result: object) -> None:
        """Counts the end of a run, wherever it was made."""
        self.runs_ended[_trigger(trigger), _result(result)] += 1

    def run_confirmed(self, seconds: float) -> None:
        """Counts the confirmation of a durable run that this process made, `seconds` after its first question."""
        self.to_confirmed.observe(("run",), seconds)

    def _quote(self, event: Event) -> None:
        seen = glance(event)
        trigger = _trigger(seen.get("trigger"))
        success = seen.get("planner_success") is True
        if seen.get("cache_hit") is True:
            self.cache_hits[(trigger,)] += 1  # no planner call, and 0 ms would flatter the histogram
        elif (seconds := _seconds(seen.get("planner_duration_ms"))) is not None:
            self.planner_calls.observe((trigger, "true" if success else "false"), seconds)
        if seen.get("planner_error") is not None:
            self.planner_errors[(trigger,)] += 1
        elif not success:
            self.refusals[trigger, _category(seen.get("planner_reason_category"))] += 1
        internal = seen.get("planner_internal")
        if isinstance(internal, events.PlannerInternal) and internal.replans:
            self.lost_races += internal.replans

    def _inline_succeeded(self, event: Event) -> None:
        seen = glance(event)
        self.inline_attempts[("succeeded",)] += 1
        quote_s = _seconds(seen.get("quoteDurationMs"))
        if quote_s is not None:
            seconds = quote_s + (_seconds(seen.get("confirmDurationMs")) or 0.0)
            self.inline_durations.observe(("succeeded",), seconds)
            self.to_confirmed.observe(("inline",), seconds)

    def _inline(self, result: str, key: str | None) -> Callable[[Event], None]:
        labels = (result,)

        def count(event: Event) -> None:
            self.inline_attempts[labels] += 1
            if key is not None and (seconds := _seconds(glance(event).get(key))) is not None:
                self.inline_durations.observe(labels, seconds)

        return count


def _seconds(ms: object) -> float | None:
    if isinstance(ms, (float, int)) and not isinstance(ms, bool) and 0 <= ms < math.inf:
        return ms / 1000
    return None


class Metrics:
    """All of it, in Prometheus' text format, from a registry of its own. `more` is asked for further figures."""

    def __init__(self, counted: CountedEvents, recorder: RecorderFigures) -> None:
        self.counted = counted
        self._recorder = recorder
        self.more: list[Callable[[], Iterable[Metric]]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks for."""
        counted = self.counted
        yield _gauge("maitred_build_info", "1, labelled with the release.", {(__version__,): 1}, ("release",))
        by_type: dict[Labels, float] = {(name,): count for name, count in counted.by_type.items()}
        yield _counter("maitred_events_total", "Events handed to the recorder.", by_type, ("event",))
        yield counted.planner_calls.family(
            PLANNER_CALL.histogram, "Planner calls: read, plan, hold. Without cache hits.", ("trigger", "success")
        )
        told = "Planner calls that gave no hold, by category of the reason."
        yield _counter("maitred_planner_refusals_total", told, counted.refusals, ("trigger", "category"))
        told = "Planner calls that raised or were cancelled."
        yield _counter("maitred_planner_errors_total", told, counted.planner_errors, ("trigger",))
        told = "Answers that a failure of a moment ago gave instead of the planner."
        yield _counter("maitred_planner_cache_hits_total", told, counted.cache_hits, ("trigger",))
        told = "Plans made anew after a lost race."
        yield _counter("maitred_planner_lost_races_total", told, {(): counted.lost_races})
        told = "Inline attempts by how they ended."
        yield _counter("maitred_inline_attempts_total", told, counted.inline_attempts, ("result",))
        yield counted.inline_durations.family(
            INLINE_ATTEMPT.histogram, "Inline attempts from beginning to end, of those that know it.", ("result",)
        )
        yield counted.to_confirmed.family(
            QUOTE_TO_CONFIRMED.histogram, "From the first question to the confirmation.", ("path",)
        )
        told = "Runs that ended anywhere since this process began."
        yield _counter("maitred_runs_ended_total", told, counted.runs_ended, ("trigger", "result"))
        told = "Events that were passed on and could not be counted."
        yield _counter("maitred_metrics_uncounted_total", told, {(): counted.uncounted})
        yield from self._of_recorder()
        for more in self.more:
            yield from more()

    def _of_recorder(self) -> Iterator[Metric]:
        recorder = self._recorder
        for what, told, value in (
            ("accepted", "Events taken into the recorder's queue.", recorder.accepted),
            ("written", "Accepted events that the database has.", recorder.written),
            ("spilled", "Accepted events that went into a file.", recorder.spilled),
        ):
            yield _counter(f"maitred_recorder_{what}_total", told, {(): value})
        dropped: dict[Labels, float] = {(reason,): 0 for reason in DROP_REASONS}
        dropped.update({(reason,): count for reason, count in recorder.dropped.items()})
        yield _counter("maitred_recorder_dropped_total", "Events that were lost.", dropped, ("reason",))
        told = "Values that an event's declaration doesn't allow, left out."
        yield _counter("maitred_event_values_nulled_total", told, {(): nulled_count()})


def _counter(name: str, told: str, values: Mapping[Labels, float], labels: Labels = ()) -> CounterMetricFamily:
    family = CounterMetricFamily(name, told, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def _gauge(name: str, told: str, values: Mapping[Labels, float], labels: Labels = ()) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def telemetry_figures(sent: Mapping[str, int], dropped: Mapping[str, int]) -> Iterator[Metric]:
    """What became of spans and log records for the collector."""
    told = "Spans and log records that the collector took."
    yield _counter(
        "maitred_otel_sent_total", told, {(what,): sent.get(what, 0) for what in ("spans", "logs")}, ("what",)
    )
    told = "Spans and log records that never reached the collector, by reason."
    counted: dict[Labels, float] = {(reason,): dropped.get(reason, 0) for reason in OTEL_DROP_REASONS}
    yield _counter("maitred_otel_dropped_total", told, counted, ("reason",))


def gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return _gauge(name, told, {(): value})
