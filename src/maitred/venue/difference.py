"""What sets two descriptions of a venue apart, whatever ids each of them uses."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeAlias

from maitred.model.floor import Floor, number_order
from maitred.model.joined import set_name
from maitred.model.policy import VenuePolicy
from maitred.venue.scoring import demand_to_json, scoring_to_json

Facts: TypeAlias = dict[tuple[str, str], object]


def facts_of(name: str, policy: VenuePolicy, floor: Floor) -> Facts:
    """Everything that makes up a venue, by item and field.

    A table's status is left out: it is what staff say of it at the moment, no part of the plan.
    """
    facts: Facts = {("restaurant", "name"): name}
    _add_policy(facts, policy)
    _add_floor(facts, floor)
    return facts


def first_difference(stored: Facts, given: Facts) -> tuple[str, str, str] | None:
    """The item, the field and the difference in words; None when the venues are the same."""
    for item, field in {**given, **stored}:
        if (item, field) not in stored:
            return item, field, "is in the file and not in the database"
        if (item, field) not in given:
            return item, field, "is in the database and not in the file"
        here, there = stored[item, field], given[item, field]
        if here != there:
            return item, field, f"is {here} in the database and {there} in the file"
    return None


def _add_policy(facts: Facts, policy: VenuePolicy) -> None:
    facts["restaurant", "timezone"] = policy.timezone
    facts["policy", "service_order"] = ", ".join(service.key for service in policy.services)
    facts["policy", "outside_any_service"] = policy.outside.value
    for service in policy.services:
        item = f"service {service.key}"
        facts[item, "start"] = service.starts
        facts[item, "end"] = service.ends
        facts[item, "turn_bands"] = [[band.up_to_party, band.minutes] for band in service.turn_bands]
        facts[item, "buffer_before_min"] = service.buffer_before_min
        facts[item, "buffer_after_min"] = service.buffer_after_min
        facts[item, "allow_overrun"] = service.allow_overrun
    scoring = scoring_to_json(policy.scoring)
    weights = scoring.pop("weights")
    facts |= {("scoring", field): value for field, value in scoring.items()}
    facts |= {("scoring", f"weights.{field}"): value for field, value in weights.items()}
    facts["policy", "demand"] = demand_to_json(policy.demand)


def _add_floor(facts: Facts, floor: Floor) -> None:
    numbers = {table.id: table.number for table in floor.tables}
    for zone in floor.zones.values():
        facts[f"zone {zone}", "name"] = zone
    for table in floor.tables:
        plan = asdict(table) | {"zone": floor.zones[table.zone_id]}
        for field in ("id", "number", "zone_id", "status"):
            del plan[field]
        facts |= {(f"table {table.number}", field): value for field, value in plan.items()}
    for edge in floor.adjacency:
        first, second = sorted((numbers[table_id] for table_id in edge), key=number_order)
        facts[f"edge {first} - {second}", "adjacency"] = True
    for edge, lost in floor.lost_seats.items():
        first, second = sorted((numbers[table_id] for table_id in edge), key=number_order)
        if lost:
            facts[f"edge {first} - {second}", "lost_seats"] = lost
    for said in floor.joined:
        item = set_name(sorted((numbers[table_id] for table_id in said.tables), key=number_order))
        facts |= {(item, field): value for field, value in asdict(said).items() if field != "tables"}
    for (capacity, category, seating_type), scarcity in floor.scarcity.items():
        facts[f"scarcity of {capacity} {category} {seating_type}", "scarcity"] = scarcity
