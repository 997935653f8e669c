"""What a guest, or the venue, would like of a party's tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from maitred.model.floor import SeatingType, Table, TableFeature


class Preference(StrEnum):
    """What may be liked or needed."""

    ZONE = "zone"
    SEATING_TYPE = "seating_type"
    HIGH_CHAIR = "high_chair"
    STEP_FREE = "step_free"


@dataclass(frozen=True, slots=True)
class Preferences:
    """Wishes for a party's tables; a set meets a wish when all its tables do.

    `zone` is a zone's name, case ignored. `must` are those that are needed: a table that doesn't meet them is none for
    this party. The others are weighed.
    """

    zone: str | None = None
    seating_type: SeatingType | None = None
    high_chair: bool = False
    step_free: bool = False
    must: frozenset[Preference] = frozenset()

    def wished(self) -> tuple[Preference, ...]:
        """What there is a wish about."""
        asked = {
            Preference.ZONE: self.zone is not None,
            Preference.SEATING_TYPE: self.seating_type is not None,
            Preference.HIGH_CHAIR: self.high_chair,
            Preference.STEP_FREE: self.step_free,
        }
        return tuple(wish for wish in Preference if asked[wish])

    def met_by(self, wish: Preference, table: Table, zone: str | None) -> bool:
        """Whether a table, in the zone of that name, is as wished."""
        match wish:
            case Preference.ZONE:
                return zone is not None and self.zone is not None and zone.casefold() == self.zone.casefold()
            case Preference.SEATING_TYPE:
                return table.seating_type is self.seating_type
            case Preference.HIGH_CHAIR:
                return TableFeature.HIGH_CHAIR in table.features
            case Preference.STEP_FREE:
                return TableFeature.STEP_FREE in table.features
