"""Answers and errors in the form of Adobe's Python SDK."""

from __future__ import annotations

import functools
import sys
from typing import Any, Dict, Mapping, Type

from .. import _errors
from .._types import Answer
from ._convert import from_json
from .attributes import AttributesProvider

#: Members of an answer: their name there, and what they hold.
_MEMBERS = {
    "status": ("status", "int"),
    "targetCookie": ("target_cookie", "object"),
    "targetLocationHintCookie": ("target_location_hint_cookie", "object"),
    "analyticsDetails": ("analytics_details", "list[AnalyticsResponse]"),
    "trace": ("trace", "object"),
    "responseTokens": ("response_tokens", "object"),
    "request": ("request", "DeliveryRequest"),
    "response": ("response", "DeliveryResponse"),
}


def envelope(answer: Mapping[str, Any], visitor: Any, family: Any) -> Dict[str, Any]:
    """The dict that `get_offers` returns; requests and responses in it are of the given family of models."""
    made: Dict[str, Any] = {"visitor_state": visitor.get_state() if visitor else answer.get("visitorState")}
    for key, (name, kind) in _MEMBERS.items():
        if key in answer:
            made[name] = from_json(answer[key], kind, family)
    meta = answer.get("meta") or {}
    made["meta"] = {
        "decisioning_method": meta.get("decisioningMethod"),
        "requested_decisioning_method": meta.get("requestedDecisioningMethod"),
        "remote_mboxes": meta.get("remoteMboxes", []),
        "remote_views": meta.get("remoteViews", []),
    }
    return made


def attributes(document: Dict[str, Any], visitor: Any, family: Any) -> AttributesProvider:
    """What `get_attributes` returns."""
    return AttributesProvider(document.get("attributes", {}), envelope(document, visitor, family))


def error(raised: Exception) -> Exception:
    """The error to raise. One with an HTTP status is also Adobe's `ApiException` where that package is in use, with its
    `status`, `reason` and `body`."""
    adobe = sys.modules.get("delivery_api_client.exceptions")
    api_exception = getattr(adobe, "ApiException", None)
    if not isinstance(raised, _errors.HttpError) or api_exception is None:
        return raised
    made = _http_error(api_exception)(raised.message, raised.document)
    vars(made).update(status=raised.http_status, reason=raised.message, body=raised.document.get("body"), headers=None)
    return made


@functools.lru_cache(maxsize=1)
def _http_error(api_exception: Type[Exception]) -> Type[_errors.HttpError]:
    return type("HttpError", (_errors.HttpError, api_exception), {})


__all__ = ["Answer", "attributes", "envelope", "error"]
