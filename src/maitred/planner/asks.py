"""What a venue asks of the choice beyond the plain score, for one floor and policy: tables ruled out, terms added.

docs/choice.md says what each term means. A venue that asks for nothing pays nothing: no burden, nothing barred.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Table, TableFeature
from maitred.model.preferences import Preference, Preferences
from maitred.model.scoring import KeepLarge, ScoringPolicy, Term
from maitred.planner.answer import Request
from maitred.planner.burden import Burden, TableTerm
from maitred.planner.layout import Layout

_KEPT = 256


class Asks:
    """The asks of one venue. Safe to share between threads."""

    def __init__(self, layout: Layout, floor: Floor, policy: ScoringPolicy) -> None:
        self._layout = layout
        self._policy = policy
        self._weights = policy.weights
        self._zones = floor.zones
        self._sections = floor.sections
        place = {section: index for index, section in enumerate(floor.sections)}
        self._section_of = [None if table.section is None else place[table.section] for table in floor.tables]
        self._vip = layout.mask_where(self._where(lambda table: TableFeature.VIP in table.features))
        weights = policy.weights
        self._bars = bool(policy.vip_only and self._vip) or any(rule.hard for rule in policy.keep_large)
        self._adds = any(
            (
                weights.priority and any(table.priority for table in floor.tables),
                weights.venue_preference and policy.preferences.wished(),
                weights.vip and self._vip,
                weights.large_table and any(not rule.hard for rule in policy.keep_large),
                (weights.section or weights.pacing) and floor.sections,
                weights.gap,
            )
        )
        # the same few kinds of questions all evening: their vectors are made once
        self._steady = lru_cache(maxsize=_KEPT)(self._made_steady)

    def barred(self, request: Request) -> int:
        """The tables that hard rules and needs rule out for this party."""
        barred = 0
        if self._bars:
            if self._policy.vip_only and not request.vip:
                barred |= self._vip
            for rule in self._policy.keep_large:
                if rule.hard and rule.applies(request.party, request.service, request.lead_min):
                    barred |= self._large(rule)
        if request.preferences is not None:
            barred |= self.unmet(request.preferences)
        return barred

    def unmet(self, preferences: Preferences) -> int:
        """The tables that lack what is needed."""
        needed = preferences.must | self._policy.hard_preferences
        barred = 0
        for wish in preferences.wished():
            if wish in needed:
                barred |= self._lacking(preferences, wish)
        return barred

    def kept_for_large(self, request: Request) -> int:
        """The tables that are kept for larger parties and ruled out for this one."""
        kept = 0
        for rule in self._policy.keep_large:
            if rule.hard and rule.applies(request.party, request.service, request.lead_min):
                kept |= self._large(rule)
        return kept

    def for_vip(self, request: Request) -> int:
        """The tables that are ruled out because they are for others."""
        return self._vip if self._policy.vip_only and not request.vip else 0

    def burden(self, request: Request) -> Burden | None:
        """What the question adds to each set; None when it adds nothing."""
        if not (self._adds or request.prices or request.preferences is not None):
            return None
        terms = list(self._terms(request))
        return Burden(terms) if terms else None

    def check(self, request: Request) -> None:
        """Raises InvalidInput, naming the field, for what doesn't fit the floor or is no number."""
        tables = len(self._layout.tables)
        for field, values, wanted, of in (
            ("prices", request.prices, tables, "tables"),
            ("lost_minutes", request.lost_minutes, tables, "tables"),
            ("section_covers", request.section_covers, len(self._sections), "sections"),
            ("section_arrivals", request.section_arrivals, len(self._sections), "sections"),
        ):
            if not values:
                continue
            if len(values) != wanted:
                raise InvalidInput("request", field, f"must be {wanted} numbers, one for each of the floor's {of}")
            if not (math.isfinite(sum(values)) and min(values) >= 0):
                raise InvalidInput("request", field, "must be finite numbers of 0 or more")

    def _terms(self, request: Request) -> Iterator[TableTerm]:
        weights = self._weights
        if request.prices:
            yield TableTerm(Term.PRICE, request.prices)
        rules = tuple(
            rule
            for rule in self._policy.keep_large
            if not rule.hard and rule.applies(request.party, request.service, request.lead_min)
        )
        yield from self._steady(request.service, request.vip, request.preferences, rules)
        if weights.section and request.section_covers:
            least = min(request.section_covers)
            yield self._by_section(Term.SECTION, weights.section, [each - least for each in request.section_covers])
        if weights.pacing and request.section_arrivals:
            yield self._by_section(Term.PACING, weights.pacing, request.section_arrivals)
        if weights.gap and request.lost_minutes:
            yield TableTerm(Term.GAP, [weights.gap * minutes for minutes in request.lost_minutes])

    def _made_steady(
        self, service: str | None, vip: bool, preferences: Preferences | None, rules: tuple[KeepLarge, ...]
    ) -> tuple[TableTerm, ...]:
        """The terms that depend on neither the room nor the moment."""
        weights = self._weights
        terms = [
            TableTerm(Term.PRIORITY, [weights.priority * table.priority_at(service) for table in self._layout.tables])
        ]
        if preferences is not None:
            terms += self._wishes(
                Term.GUEST_PREFERENCE, weights.guest_preference, preferences, preferences.must | self._hard
            )
        terms += self._wishes(Term.VENUE_PREFERENCE, weights.venue_preference, self._policy.preferences, frozenset())
        if self._vip:
            elsewhere = self._layout.all & ~self._vip
            terms.append(self._on(Term.VIP, weights.vip, elsewhere if vip else self._vip, highest=vip))
        terms += [self._on(Term.LARGE_TABLE, weights.large_table, self._large(rule)) for rule in rules]
        return tuple(term for term in terms if any(term.by_table))

    @property
    def _hard(self) -> frozenset[Preference]:
        return self._policy.hard_preferences

    def _wishes(
        self, term: Term, weight: float, preferences: Preferences, needed: frozenset[Preference]
    ) -> Iterator[TableTerm]:
        for wish in preferences.wished():
            if wish not in needed:
                yield self._on(term, weight, self._lacking(preferences, wish), highest=True)

    def _on(self, term: Term, weight: float, tables: int, *, highest: bool = False) -> TableTerm:
        count = len(self._layout.tables)
        return TableTerm(term, [weight if tables >> index & 1 else 0.0 for index in range(count)], highest)

    def _by_section(self, term: Term, weight: float, loads: Sequence[int]) -> TableTerm:
        by_table = [0.0 if section is None else weight * loads[section] for section in self._section_of]
        return TableTerm(term, by_table, highest=True)

    def _lacking(self, preferences: Preferences, wish: Preference) -> int:
        return self._layout.mask_where(
            self._where(lambda table: not preferences.met_by(wish, table, self._zones.get(table.zone_id)))
        )

    def _large(self, rule: KeepLarge) -> int:
        return self._layout.mask_where(self._where(lambda table: table.capacity >= rule.seats))

    def _where(self, wanted: Callable[[Table], bool]) -> Iterator[int]:
        return (index for index, table in enumerate(self._layout.tables) if wanted(table))
