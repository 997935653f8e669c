"""`maitred replay` and `maitred explain` as a shell runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maitred.errors import InvalidInput
from maitred.replay.policy_file import parse_policy, read_policy
from tests.cli.command import Ended, maitred, one_line
from tests.venue.files import Raw, bent, parsed, put, small_file

MORNING = ("--as-of", "2025-11-06T06:00Z")


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Callable[..., Ended]:
    """The command on a database that has the small venue in it."""

    def command(*arguments: str | Path) -> Ended:
        return maitred(*arguments, MAITRED_DATABASE_URL=database_url)

    path = tmp_path / "day.json"
    path.write_text(json.dumps(small_file()), encoding="utf-8")
    assert command("import", path).code == 0
    return command


def test_a_quote_can_be_replayed_and_explained(run: Callable[..., Ended], database_url: str) -> None:
    assert run("quote", "R1", *MORNING).code == 0
    replayed = run("replay")
    assert (replayed.code, replayed.err) == (0, "")
    assert "1 plannings of 1 quotes decided again: all identical." in replayed.out
    assert json.loads(run("replay", "--booking", "R1", "--json").out)["identical"] == 1
    assert json.loads(run("replay", "--booking", "R2", "--json").out)["quotes"] == 0
    assert json.loads(run("replay", "--restaurant", "chez-test", "--since", "1h", "--json").out)["quotes"] == 1
    explained = run("explain", "R1")
    assert (explained.code, explained.err) == (0, "")
    assert explained.out.startswith("R1 at chez-test: party of 2, 2025-11-06 12:00 Europe/London")
    assert "lunch: tables wanted 12:00-13:05" in explained.out
    assert json.loads(run("explain", "R1", "--json").out)["ref"] == "R1"

    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE bookings SET party_size = 2")
        connection.execute("""UPDATE venue_versions SET document = jsonb_set(document, '{scoring,max_overage}', '0')""")
    otherwise = run("replay")
    assert otherwise.code == 1
    assert "1 decided otherwise by release" in otherwise.out


def test_another_policy_can_be_tried(run: Callable[..., Ended], tmp_path: Path) -> None:
    assert run("quote", "R2", *MORNING).code == 0
    path = tmp_path / "policy.json"
    policy = small_file()["policy"]
    policy["scoring"] |= {"max_tables": 1, "max_overage": 0, "weights": {"overage": 1}}
    path.write_text(json.dumps(policy), encoding="utf-8")
    told = run("replay", "--policy", path)
    assert (told.code, told.err) == (0, "")
    assert "1 of 1 quotes decided under both policies." in told.out
    assert "Each quote is decided by itself" in told.out
    found = json.loads(run("replay", "--policy", path, "--json").out)
    assert found["decided"] == 1
    assert set(found["planning_us"]) == {"own", "other"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("replay", "--since", "soon"), 2, "replay: since: 'soon' is neither"),
        (("replay", "--booking", "R9"), 1, "no booking R9"),
        (("replay", "--restaurant", "nowhere"), 1, "no restaurant nowhere"),
        (("replay", "--policy", "nowhere.json"), 2, "file nowhere.json: path: can't be read"),
        (("explain", "R9"), 1, "no booking R9"),
        (("explain", "R1", "--restaurant", "nowhere"), 1, "no booking R1"),
    ],
)
def test_what_cannot_be_found_is_named(run: Callable[..., Ended], arguments: Any, code: int, message: str) -> None:
    ended = run(*arguments)
    assert ended.code == code
    assert one_line(ended).startswith(f"maitred: {message}")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "policy: service_order: is missing"),
        ([], "file: contents: must be a JSON object"),
        (small_file()["policy"] | {"scoring": {"max_tables": 9}}, "scoring: max_tables: must be from 1 to 5"),
        (small_file()["policy"] | {"scorings": {}}, "policy: scorings: unknown key"),
        (bent(put("policy", "service_order", value=["lunch"])), "service dinner: service_order: must be in the order"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named(raw: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_policy(json.dumps(raw).encode())
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"{"])
def test_what_is_no_json_is_no_policy(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="contents: not JSON"):
        parse_policy(content)


def test_a_policy_may_stand_in_a_whole_day(tmp_path: Path) -> None:
    raw: Raw = small_file()
    path = tmp_path / "day.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert read_policy(path) == parsed(raw).policy
    path.write_text(json.dumps(raw["policy"]), encoding="utf-8")
    assert read_policy(path).services == parsed(raw).policy.services
    assert read_policy(path).scoring == parsed(raw).policy.scoring
    with pytest.raises(InvalidInput, match="can't be read"):
        read_policy(tmp_path)
