"""A venue's data in and out: imports with a dry run, a day as CSV, JSON or a calendar."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from maitred.booking.day_export import day_calendar, day_csv, day_json_text, read_exported_day
from maitred.errors import ImportRefused, InvalidInput, RequestRefused
from maitred.http.access import Operator, Principal
from maitred.http.idempotency import Operation
from maitred.http.operators.versions import Slug
from maitred.http.parts import Parts
from maitred.http.schema import Answer, Day
from maitred.storage.database import Database
from maitred.venue.csv_import import import_sheets
from maitred.venue.csv_sheets import Sheet
from maitred.venue.csv_text import Problem
from maitred.venue.day_problems import problems_of_day
from maitred.venue.document import parse_day
from maitred.venue.settings_changes import get_settings
from maitred.venue.store import import_day

router = APIRouter(prefix="/venues/{slug}", tags=["operators"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            # anything: a dry run is for finding out what is wrong with it
            "text/csv": {"schema": {"description": "A sheet in UTF-8, its first line the names of the columns."}},
            "application/json": {"schema": {"description": "A day, as docs/import-format.md has it."}},
        },
    }
}
_CALENDAR, _CSV = "text/calendar", "text/csv"


class ImportProblem(Answer):
    """Something wrong with the file; `line` null: with the file as a whole."""

    line: int | None
    column: str
    problem: str


class ImportAnswer(Answer):
    """What an import did, or with `dry_run` would do. With problems it does nothing."""

    dry_run: bool
    added: dict[str, int] = Field(description="New rows by sheet.")
    already_there: dict[str, int]
    left_out: int = Field(description="Bookings that are over.")
    problems: list[ImportProblem] = Field(description="At most 1,000; only a dry run answers with any.")


@router.post("/imports", summary="Import tables, adjacency, services or bookings", openapi_extra=_BODY)
async def import_file(
    slug: Slug,
    request: Request,
    parts: Parts,
    principal: Operator,
    _operation: Operation,
    dry_run: bool = False,
    sheet: Annotated[Sheet, Query(description="What a CSV file has in its rows.")] = Sheet.BOOKINGS,
) -> ImportAnswer:
    """All of the file or nothing. CSV in UTF-8, or JSON in the format maitred.day/1 (docs/import-format.md). What is
    there and the same is left as it is, so an import can be repeated.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    content = await request.body()
    if kind == "application/json":
        return await _import_day(parts.database, principal, slug, content, dry_run=dry_run)
    if kind != _CSV:
        raise RequestRefused(415, "send text/csv or application/json", code="unsupported_media_type")
    try:
        report = await import_sheets(parts.database, slug, {sheet: content}, dry_run=dry_run)
    except ImportRefused as error:
        if not dry_run:
            raise
        return _only_problems([Problem(*each) for each in error.problems])
    if not dry_run and (refused := report.refuse()):
        raise refused
    return ImportAnswer(
        dry_run=dry_run,
        added=dict(report.added),
        already_there=dict(report.already_there),
        left_out=report.left_out,
        problems=[_problem(each) for _, each in report.problems],
    )


@router.get(
    "/days/{date}.{kind}",
    summary="Take a day out",
    response_class=Response,
    responses={
        200: {
            "description": "The day",
            "content": {
                _CSV: {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
                _CALENDAR: {"schema": {"type": "string"}},
            },
        }
    },
)
async def export_day(slug: Slug, date: Day, kind: Literal["csv", "json", "ics"], parts: Parts, _: Operator) -> Response:
    """A service day. CSV has the guests' details; JSON has the venue and can be imported; both can be imported again.
    In CSV a cell that a spreadsheet would take for a formula has an apostrophe in front; an import takes it off.
    """
    exported = await read_exported_day(parts.database, slug, date)
    media, content = {
        "csv": (f"{_CSV}; charset=utf-8", day_csv),
        "json": ("application/json", day_json_text),
        "ics": (f"{_CALENDAR}; charset=utf-8", day_calendar),
    }[kind]
    headers = {"Content-Disposition": f'attachment; filename="{slug}-{date}.{kind}"', "Cache-Control": "no-store"}
    return Response(content(exported), media_type=media, headers=headers)


async def _import_day(db: Database, principal: Principal, slug: str, content: bytes, *, dry_run: bool) -> ImportAnswer:
    # reading 20 MB takes seconds: not on the loop
    problems = await run_in_threadpool(problems_of_day, content)
    if not problems:
        document = await run_in_threadpool(parse_day, content)
        if document.slug != slug:
            problems = [Problem(None, "restaurant.slug", f"is not {slug}")]
    if problems:
        if dry_run:
            return _only_problems(problems)
        raise ImportRefused([(each.line, each.column, each.problem) for each in problems])
    if not principal.every_venue:
        await get_settings(db, slug)  # it must be there: a new one is not for a key of single venues
    try:
        done = await import_day(db, document, dry_run=dry_run)
    except InvalidInput as error:
        if not dry_run:
            raise
        return _only_problems([Problem(None, f"{error.item}: {error.field}", error.problem)])
    return ImportAnswer(
        dry_run=dry_run,
        added={"bookings": done.bookings_added, "venues": int(done.created)},
        already_there={"bookings": done.bookings_already_there},
        left_out=0,
        problems=[],
    )


def _only_problems(problems: list[Problem]) -> ImportAnswer:
    return ImportAnswer(
        dry_run=True, added={}, already_there={}, left_out=0, problems=[_problem(each) for each in problems]
    )


def _problem(problem: Problem) -> ImportProblem:
    return ImportProblem(line=problem.line, column=problem.column, problem=problem.problem)
