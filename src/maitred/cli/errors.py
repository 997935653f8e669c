"""What the command line says of an error: one line, without passwords and without anybody's data."""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

from maitred.errors import ImportRefused, InvalidInput, MaitredError

FAILED = 1
BAD_INPUT = 2

_URL_VARIABLE = "MAITRED_DATABASE_URL"

# In an address the password ends at the last @, so that one with an unescaped reserved character is masked too.
_PASSWORDS = (
    (re.compile(r"(://[^:/@\s]*):\S*@"), r"\1:***@"),
    (re.compile(r"([?&](?:ssl)?password=)[^&\s]*", re.IGNORECASE), r"\1***"),
    (re.compile(r"((?<![?&])\b(?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^&\s]\S*)", re.IGNORECASE), r"\1***"),
)
_RESERVED = re.compile(r"[/?#@:\s]")
_SETTING_IN_TEXT = re.compile(r'field "(\w+)"')


def told(error: Exception) -> tuple[str, int]:
    """The line for stderr and the exit code. With MAITRED_DEBUG=1 the text of an unexpected error is its traceback."""
    text, code = _words(error)
    text = _without_pieces_of_password(without_passwords(text))
    if not text.startswith("Traceback"):
        text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return text, code


def _words(error: Exception) -> tuple[str, int]:
    if isinstance(error, ExceptionGroup):
        return _words(error.exceptions[0])
    if isinstance(error, (InvalidInput, ImportRefused)):
        return str(error), BAD_INPUT
    if isinstance(error, MaitredError):
        return str(error), FAILED
    setting = _bad_setting(error)
    if setting is not None:
        return setting, BAD_INPUT
    if os.environ.get("MAITRED_DEBUG") == "1":
        return "".join(traceback.format_exception(error)).rstrip(), FAILED
    return f"{_unexpected(error)} (MAITRED_DEBUG=1 shows where)", FAILED


def without_passwords(text: str) -> str:
    """The text with the passwords of connection strings masked."""
    for pattern, masked in _PASSWORDS:
        text = pattern.sub(masked, text)
    return text


def _without_pieces_of_password(text: str) -> str:
    """A password with a reserved character makes PostgreSQL's library quote pieces of it as host or port."""
    found = re.search(r"://[^:/@\s]*:(.*)@", os.environ.get(_URL_VARIABLE, ""))
    pieces = _RESERVED.split(found[1]) if found else []
    for piece in pieces if len(pieces) > 1 else []:
        text = text.replace(piece, "***") if piece else text
    return text


def _bad_setting(error: Exception) -> str | None:
    """The variable and the problem, when the error is about a setting. The value stays out: it may be a password."""
    from psycopg import ProgrammingError
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from maitred.venue.problems import field_path, problem_of

    if isinstance(error, ValidationError) and error.title == "Settings":
        first = error.errors(include_url=False, include_input=False)[0]
        return f"MAITRED_{field_path(first['loc']).upper()}: {problem_of(first)}"
    url = os.environ.get(_URL_VARIABLE)
    if isinstance(error, ProgrammingError) and url and not _is_address(url):
        return f"{_URL_VARIABLE}: must be an address like postgresql://user@host:5432/name"
    if isinstance(error, SettingsError):
        field = _SETTING_IN_TEXT.search(str(error))
        name = f"MAITRED_{field[1].upper()}" if field else "MAITRED_*"
        return f"{name}: must be JSON, for example [5, 15, 45]"
    return None


def _is_address(url: str) -> bool:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        return False
    return True


def _unexpected(error: Exception) -> str:
    """The kind of error, with its words only where they are known to hold nobody's data."""
    from psycopg import Error as DatabaseError

    kind = type(error).__name__
    if isinstance(error, DatabaseError):
        # the primary message alone: the detail would show the row
        return f"database error {error.sqlstate or kind}: {error.diag.message_primary or kind}"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or kind}{where}"
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" in {Path(each.filename).name}, line {each.lineno}" for each in frame)
    return f"unexpected {kind}{where}"
