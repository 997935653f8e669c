"""What schemathesis has to know of the venue it is let loose on; it imports this module by SCHEMATHESIS_HOOKS.

A path's parameters are drawn from nothing, so hardly one would ever name something that is there: every second is
given a real one's name. A key for idempotency is meant for one request, so each request gets its own.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.modes import GenerationMode

KNOWN = "MAITRED_CONTRACT_KNOWN"
"""The variable with names of what is there, as JSON: by parameter a list, and `own_key`, which must not be revoked."""

_SEED = "MAITRED_CONTRACT_SEED"
_known: dict[str, list[str]] = json.loads(os.environ.get(KNOWN, "{}"))
_draw = random.Random(int(os.environ.get(_SEED, "1")))


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """Puts names of what is there where the parameter is meant to be a good one."""
    for where, values in ((ParameterLocation.PATH, case.path_parameters), (ParameterLocation.QUERY, case.query)):
        component = None if case.meta is None else case.meta.components.get(where)
        if component is not None and component.mode is not GenerationMode.POSITIVE:
            continue
        for name, names in _known.items():
            if name in (values or {}) and names and _draw.random() < 0.5:
                values[name] = _draw.choice(names)
    body = case.body
    if isinstance(body, dict) and "restaurant_id" in body and _draw.random() < 0.5:
        component = None if case.meta is None else case.meta.components.get(ParameterLocation.BODY)
        if component is not None and component.mode is GenerationMode.POSITIVE:
            case.body = {**body, "restaurant_id": _draw.choice(_known["restaurant_id"])}
    return case


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: object) -> None:
    """One key for one request, where there is a key that could be a key; and the run's own key stays."""
    headers: dict[str, Any] = dict(case.headers or {})
    for name in list(headers):
        if name.lower() == "idempotency-key" and case.meta is not None:
            component = case.meta.components.get(ParameterLocation.HEADER)
            if component is None or component.mode is GenerationMode.POSITIVE:
                case.headers[name] = uuid4().hex
    if case.operation.path.startswith("/v1/keys/") and case.path_parameters.get("key_id") in _known.get("own_key", []):
        case.path_parameters["key_id"] = str(uuid4())
