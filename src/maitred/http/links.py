"""Links of the OpenAPI document: how what was just made is seen, changed and deleted.

They follow from the paths: what `POST .../tables` made is found at `.../tables/{table_id}`.
"""

from __future__ import annotations

import re
from typing import Any

# where an answer has the name of what was made, if that isn't its id
_NAMED = {"/v1/venues": "/slug", "/v1/venues/{slug}/services": "/key", "/v1/bookings/{booking_id}/holds": "/hold/id"}
_METHODS = ("get", "put", "patch", "delete", "post")


def declare(document: dict[str, Any]) -> None:
    """Writes the links into an OpenAPI document."""
    paths = document["paths"]
    for path, operations in paths.items():
        made = operations.get("post", {}).get("responses", {}).get("201")
        if made is None:
            continue
        known = {name: f"$request.path.{name}" for name in re.findall(r"{(\w+)}", path)}
        below = re.compile(re.escape(path) + r"/{(\w+)}(/[a-z-]+)?")
        for other in paths:
            if found := below.fullmatch(other):
                parameters = {**known, found[1]: f"$response.body#{_NAMED.get(path, '/id')}"}
                for method in _METHODS:
                    if operation := paths[other].get(method):
                        name = operation["operationId"]
                        made.setdefault("links", {})[name] = {"operationId": name, "parameters": parameters}
