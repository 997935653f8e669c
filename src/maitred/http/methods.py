"""Which methods an address has, by the OpenAPI document: what Allow has to say, and whether there is a route at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.routing import compile_path

_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "trace"})


class Methods:
    """Reads the document when it is first asked, when all routes are there."""

    def __init__(self, document: Callable[[], Mapping[str, Any]]) -> None:
        self._document = document
        self._known: list[tuple[re.Pattern[str], frozenset[str]]] | None = None

    def of(self, path: str) -> frozenset[str]:
        """The methods of this path; empty where there is no route."""
        if self._known is None:
            self._known = [
                (compile_path(template)[0], frozenset(name.upper() for name in operations if name in _METHODS))
                for template, operations in self._document().get("paths", {}).items()
            ]
        return frozenset().union(*(methods for pattern, methods in self._known if pattern.fullmatch(path)))
