"""What a scan's records mean: planner calls, runs and confirmations, each with its booking. Pure.

What is said here of a call, a run or a confirmation is what reports mean by these words (docs/baseline.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from maitred.observability.baseline_scan import (
    INLINE_SUCCEEDED,
    INLINE_TIMEOUT,
    QUOTE,
    SUCCEEDED,
    SUMMARY,
    Records,
    Scan,
)
from maitred.storage.database import Row

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

NO_REASON = "NO_REASON"
NO_TRIGGER = "NO_TRIGGER"
NO_RESULT = "NO_RESULT"
NO_STRATEGY = "NO_STRATEGY"
NO_RELEASE = "NO_RELEASE"

PREVIEW = "manual"
INLINE_TRIGGERS = ("inline_creation", "inline_modification")

_TIMEOUT = "transient.timeout"
_CUT_OFF = ("TimeoutError", "CancelledError")

_DAY_US = 86_400_000_000
_FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Coded:
    """A word for each of many: its place in `names`."""

    codes: Ints
    names: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str], places: Ints) -> Self:
        """The word at each of these places."""
        names = tuple(sorted(set(words)))
        code_of = {name: code for code, name in enumerate(names)}
        table = np.array([code_of[word] for word in words], dtype=np.int64)
        return cls(table[places] if len(places) else places, names)

    def where(self, chosen: Flags | Ints) -> Coded:
        """Those that are chosen."""
        return Coded(self.codes[chosen], self.names)

    def followed_by(self, other: Coded) -> Coded:
        """These words and then the other's."""
        return Coded.of([*self.names, *other.names], np.concatenate((self.codes, other.codes + len(self.names))))

    def among(self, wanted: Sequence[str]) -> Flags:
        """Which have one of these words."""
        return np.array([name in wanted for name in self.names], dtype=np.bool_)[self.codes]


@dataclass(frozen=True, slots=True)
class Calls:
    """Planner calls, cache hits and previews too, in order of time.

    `booking` is a code; calls without a booking have codes of their own, and `of_booking` is False. `duration_ms` is
    NaN when it isn't known; `at_least` marks calls that timed out, whose duration is then no less than their limit.
    `attempt_index` is NaN when it isn't known.
    """

    at: Ints
    booking: Ints
    of_booking: Flags
    source: Coded
    trigger: Coded
    strategy: Coded
    venue: Coded
    success: Coded
    reason: Coded
    release: Coded
    duration_ms: Floats
    at_least: Flags
    cache_hit: Flags
    preview: Flags
    attempt_index: Floats
    lost_races: Ints
    inline_attempt: Ints

    @property
    def planned(self) -> Flags:
        """Those in which the planner worked on holding tables: neither a cache hit nor a preview."""
        return ~(self.cache_hit | self.preview)

    @property
    def day(self) -> Coded:
        """The day of each in UTC."""
        return days(self.at)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that ended. `strategy` and `release` are those of the booking's last call for the same trigger."""

    at: Ints
    booking: Ints
    of_booking: Flags
    source: Coded
    trigger: Coded
    strategy: Coded
    release: Coded
    venue: Coded
    result: Coded
    attempts: Floats
    total_ms: Floats
    skipped_first: Flags
    skip_reason: Coded

    @property
    def day(self) -> Coded:
        """The day of each in UTC."""
        return days(self.at)


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Bookings that got their tables. `ms` is from the quote (inline) or the run's begin (job) to the confirmation."""

    at: Ints
    booking: Ints
    of_booking: Flags
    source: Coded
    trigger: Coded
    strategy: Coded
    release: Coded
    venue: Coded
    ms: Floats

    @property
    def day(self) -> Coded:
        """The day of each in UTC."""
        return days(self.at)


@dataclass(frozen=True, slots=True)
class Course:
    """What happened in a window. A booking has the same code wherever it appears.

    `hashes` has a place for each code and is the same for a booking in any window; 0 stands for no booking.
    """

    calls: Calls
    runs: Runs
    confirmations: Confirmations
    hashes: Ints

    @property
    def bookings(self) -> int:
        """How many codes there are."""
        return len(self.hashes)


def course_of(scan: Scan) -> Course:
    """Reads the scan's records."""
    quotes, summaries = scan.records[QUOTE], scan.records[SUMMARY]
    inline, jobs = scan.records[INLINE_SUCCEEDED], scan.records[SUCCEEDED]
    codes, hashes = _booking_codes(quotes, summaries, inline, jobs)
    calls = _calls(scan, quotes, codes[0])
    last = _LastCalls(calls)
    return Course(
        calls=calls,
        runs=_runs(scan, summaries, codes[1], last),
        confirmations=_confirmations(scan, inline, jobs, codes[2:], last),
        hashes=hashes,
    )


def days(at: Ints) -> Coded:
    """The day of each moment in UTC, as in 2025-11-06."""
    different, codes = np.unique(at // _DAY_US, return_inverse=True)
    return Coded(codes, tuple(f"{_FIRST_DAY + timedelta(days=int(day)):%Y-%m-%d}" for day in different))


def moment(at: int) -> datetime:
    """The instant of a record's `at`, in UTC."""
    return _FIRST_DAY + timedelta(microseconds=at)


def _booking_codes(*all_records: Records) -> tuple[list[Ints], Ints]:
    """Codes from 0 on, and the hash of each code; what has no booking gets a code of its own."""
    hashes = np.concatenate([each.booking for each in all_records])
    different, codes = np.unique(hashes, return_inverse=True)
    none = hashes == 0
    count = len(different) + int(np.count_nonzero(none))
    codes[none] = np.arange(len(different), count)
    ends = np.cumsum([len(each) for each in all_records])
    of_codes = np.append(different, np.zeros(count - len(different), dtype=np.int64))
    return np.split(codes, ends[:-1].tolist()), of_codes


def _calls(scan: Scan, quotes: Records, booking: Ints) -> Calls:
    words = scan.words[QUOTE]

    def named(read: Callable[[Row], str]) -> Coded:
        return Coded.of([read(row) for row in words], quotes.words)

    def flag(read: Callable[[Row], bool]) -> Flags:
        return np.array([read(row) for row in words], dtype=np.bool_)[quotes.words] if words else np.zeros(0, np.bool_)

    trigger = named(lambda row: row["trigger"] or NO_TRIGGER)
    duration_ms, at_least = _with_limits(
        quotes,
        timed_out=flag(lambda row: row["reason"] == _TIMEOUT or row["error"] == "TimeoutError"),
        cut_off=flag(lambda row: row["error"] in _CUT_OFF) & trigger.among(INLINE_TRIGGERS),
        timeouts=scan.records[INLINE_TIMEOUT],
    )
    index = np.array([_count(row["attempt_index"]) for row in words], dtype=np.float64)
    races = np.array([_count(row["replans"]) for row in words], dtype=np.float64)
    some = len(quotes) > 0
    calls = Calls(
        at=quotes.at,
        booking=booking,
        of_booking=quotes.booking != 0,
        source=Coded(quotes.source, scan.sources),
        trigger=trigger,
        strategy=named(_strategy),
        venue=Coded(quotes.venue, scan.venues),
        success=named(lambda row: row["success"] if row["success"] in ("true", "false") else "unknown"),
        reason=named(lambda row: row["reason"] or NO_REASON),
        release=named(lambda row: row["release"] or NO_RELEASE),
        duration_ms=duration_ms,
        at_least=at_least,
        cache_hit=flag(lambda row: row["cache_hit"] == "true"),
        preview=trigger.among((PREVIEW,)),
        attempt_index=index[quotes.words] if some else np.zeros(0),
        lost_races=np.nan_to_num(races[quotes.words]).astype(np.int64) if some else np.zeros(0, np.int64),
        inline_attempt=quotes.attempt,
    )
    order = np.argsort(calls.at)
    if (np.diff(calls.at[order]) == 0).any():
        order = np.lexsort((calls.attempt_index, calls.at))
    return chosen_calls(calls, order)


def chosen_calls(calls: Calls, chosen: Flags | Ints) -> Calls:
    """Those calls, in the order in which they are chosen."""
    return Calls(
        at=calls.at[chosen],
        booking=calls.booking[chosen],
        of_booking=calls.of_booking[chosen],
        source=calls.source.where(chosen),
        trigger=calls.trigger.where(chosen),
        strategy=calls.strategy.where(chosen),
        venue=calls.venue.where(chosen),
        success=calls.success.where(chosen),
        reason=calls.reason.where(chosen),
        release=calls.release.where(chosen),
        duration_ms=calls.duration_ms[chosen],
        at_least=calls.at_least[chosen],
        cache_hit=calls.cache_hit[chosen],
        preview=calls.preview[chosen],
        attempt_index=calls.attempt_index[chosen],
        lost_races=calls.lost_races[chosen],
        inline_attempt=calls.inline_attempt[chosen],
    )


def _with_limits(quotes: Records, *, timed_out: Flags, cut_off: Flags, timeouts: Records) -> tuple[Floats, Flags]:
    """The durations, and which of them are only a least.

    A call that was cut off counts as timed out when its inline attempt says so; a guest who went away is another thing.
    Its limit is what the attempt was given, for it would have gone on beyond that.
    """
    durations = quotes.x.copy()
    at_least = timed_out.copy()
    limit_of = dict(zip(timeouts.attempt.tolist(), timeouts.x.tolist(), strict=True))
    for place in np.flatnonzero((timed_out | cut_off) & (quotes.attempt != 0)).tolist():
        limit = limit_of.get(int(quotes.attempt[place]))
        if limit is not None:
            at_least[place] = True
            durations[place] = np.fmax(durations[place], limit)
    return durations, at_least & ~np.isnan(durations)


class _LastCalls:
    """Finds the call that a run or a confirmation came from: the last one of the booking for the same trigger."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._triggers = {name: code for code, name in enumerate(calls.trigger.names)}
        inline = np.flatnonzero(calls.inline_attempt != 0)
        self._inline = inline[np.argsort(calls.inline_attempt[inline])]

    def for_trigger(self, booking: Ints, of_booking: Flags, trigger: Coded) -> Ints:
        """The place of the call of each, -1 where there is none in the window."""
        calls, many = self._calls, max(len(self._triggers), 1)
        size = (max(int(each.max(initial=0)) for each in (calls.booking, booking)) + 1) * many
        last = np.full(size, -1, dtype=np.int64)
        last[calls.booking * many + calls.trigger.codes] = np.arange(len(calls.at))  # the last one of equals stays
        codes = np.array([self._triggers.get(name, -1) for name in trigger.names], dtype=np.int64)[trigger.codes]
        return np.where((codes >= 0) & of_booking, last[booking * many + np.maximum(codes, 0)], -1)

    def of_attempts(self, attempts: Ints) -> Ints:
        """The place of the call of each inline attempt, -1 where there is none in the window."""
        if not len(self._inline):
            return np.full(len(attempts), -1, dtype=np.int64)
        known = self._calls.inline_attempt[self._inline]
        at = np.minimum(np.searchsorted(known, attempts), len(known) - 1)
        return np.where((attempts != 0) & (known[at] == attempts), self._inline[at], -1)

    def strategy(self, places: Ints) -> Coded:
        return self._named(self._calls.strategy, places, NO_STRATEGY)

    def release(self, places: Ints) -> Coded:
        return self._named(self._calls.release, places, NO_RELEASE)

    def trigger(self, places: Ints) -> Coded:
        return self._named(self._calls.trigger, places, NO_TRIGGER)

    @staticmethod
    def _named(coded: Coded, places: Ints, otherwise: str) -> Coded:
        codes = np.append(coded.codes, len(coded.names))[places]  # -1 is the place of the one appended
        return Coded(codes, (*coded.names, otherwise))


def _runs(scan: Scan, summaries: Records, booking: Ints, last: _LastCalls) -> Runs:
    words = scan.words[SUMMARY]

    def named(read: Callable[[Row], str]) -> Coded:
        return Coded.of([read(row) for row in words], summaries.words)

    trigger = named(lambda row: row["trigger"] or NO_TRIGGER)
    of_booking = summaries.booking != 0
    calls = last.for_trigger(booking, of_booking, trigger)
    return Runs(
        at=summaries.at,
        booking=booking,
        of_booking=of_booking,
        source=Coded(summaries.source, scan.sources),
        trigger=trigger,
        strategy=last.strategy(calls),
        release=last.release(calls),
        venue=Coded(summaries.venue, scan.venues),
        result=named(lambda row: row["result"] or NO_RESULT),
        attempts=summaries.x,
        total_ms=summaries.y,
        skipped_first=named(lambda row: str(row["skipped"] == "true")).among(("True",)),
        skip_reason=named(lambda row: row["skip_reason"] or ""),
    )


def _confirmations(
    scan: Scan, inline: Records, jobs: Records, booking: Sequence[Ints], last: _LastCalls
) -> Confirmations:
    job_trigger = Coded.of([row["trigger"] or NO_TRIGGER for row in scan.words[SUCCEEDED]], jobs.words)
    places = np.concatenate(
        (last.of_attempts(inline.attempt), last.for_trigger(booking[1], jobs.booking != 0, job_trigger))
    )
    return Confirmations(
        at=np.concatenate((inline.at, jobs.at)),
        booking=np.concatenate(list(booking)),
        of_booking=np.concatenate((inline.booking, jobs.booking)) != 0,
        source=Coded(np.concatenate((inline.source, jobs.source)), scan.sources),
        trigger=last.trigger(places[: len(inline)]).followed_by(job_trigger),
        strategy=last.strategy(places),
        release=last.release(places),
        venue=Coded(np.concatenate((inline.venue, jobs.venue)), scan.venues),
        ms=np.concatenate((inline.x + inline.y, jobs.x)),
    )


def _strategy(row: Row) -> str:
    """As in `required/3`: whether the tables had to be adjacent, and how many they could be at most."""
    adjacency = {"true": "required", "false": "free"}.get(row["adjacency"] or "", "default")
    return f"{adjacency}/{row['tables'] or 'default'}"


def _count(text: str | None) -> float:
    """A number of a word; NaN when it is none or none to count with."""
    try:
        value = float(text or "nan")
    except ValueError:
        return np.nan
    return value if abs(value) < 1e6 else np.nan
