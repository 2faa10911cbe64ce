"""What a visitor object adds to a request: ids, Audience Manager's values and the supplemental data id.

The object has the methods that Adobe's SDK asks for: `get_visitor_values`, `get_state`, `get_supplemental_data_id`.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

_GLOBAL_MBOX = "target-global-mbox"
_STATES = {0: "unknown", 1: "authenticated", 2: "logged_out"}


def complete(request: Dict[str, Any], visitor: Any, consumer_id: Optional[str]) -> None:
    """Adds to a request, in its JSON form, what it does not say itself."""
    values: Mapping[str, Any] = visitor.get_visitor_values() or {}
    state = _first_state(visitor)
    identity = _object(request, "id")
    if values.get("MCMID"):
        identity.setdefault("marketingCloudVisitorId", values["MCMID"])
    customers = _customer_ids(state.get("customerIDs") or state.get("customer_ids") or {})
    if customers:
        identity["customerIds"] = customers + list(identity.get("customerIds") or [])
    if not identity:
        del request["id"]

    cloud = _object(request, "experienceCloud")
    manager = _object(cloud, "audienceManager")
    hint = _integer(values.get("MCAAMLH"))
    if hint is not None:
        manager.setdefault("locationHint", hint)
    if values.get("MCAAMB"):
        manager.setdefault("blob", values["MCAAMB"])
    if not manager:
        del cloud["audienceManager"]
    analytics = _object(cloud, "analytics")
    if not analytics.get("supplementalDataId"):
        supplemental = visitor.get_supplemental_data_id(consumer_id or _GLOBAL_MBOX)
        if supplemental:
            analytics["supplementalDataId"] = supplemental


def _first_state(visitor: Any) -> Mapping[str, Any]:
    states: Mapping[str, Any] = visitor.get_state() or {}
    first = next(iter(states.values()), None)
    return first if isinstance(first, Mapping) else {}


def _customer_ids(found: Mapping[str, Any]) -> List[Dict[str, Any]]:
    made = []
    for code, value in found.items():
        state = 0
        if isinstance(value, Mapping):
            state = _integer(value.get("authState")) or 0
            value = value.get("id")
        if value:
            made.append(
                {"id": value, "integrationCode": code, "authenticatedState": _STATES.get(state, "unknown")}
            )
    return made


def _object(parent: Dict[str, Any], key: str) -> Dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        value = parent[key] = {}
    return value


def _integer(value: Any) -> Optional[int]:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
