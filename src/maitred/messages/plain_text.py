"""Text from outside made fit for a header, a line or a screen."""

from __future__ import annotations

import unicodedata

# Overrides of the writing direction: they make a line read as something that it isn't.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
_SPECIAL_IN_ADDRESS = str.maketrans(dict.fromkeys('()<>[]:;@\\,"', " "))


def line(text: str, most: int) -> str:
    """One line of at most about so many characters: no control characters, no line or paragraph ends, no overrides of
    direction, nothing that a mail program would decode."""
    kept = "".join(" " if ch in _DIRECTION or unicodedata.category(ch) in _BREAKING else ch for ch in text)
    one = " ".join(kept.split())
    if len(one) > most:
        one = one[: most - 1].rstrip() + "…"
    return one.replace("=?", "= ?")


def display_name(text: str, most: int) -> str:
    """A name to stand before an address. Without the characters that mean something there: Python's email package,
    before its fix of CVE-2025-1795, can fold a long quoted name into several addresses."""
    return " ".join(line(text, most).translate(_SPECIAL_IN_ADDRESS).split())
