"""Shapes of what goes in and comes out, for type checkers. At run time these are plain dicts."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, TypedDict


class Cookie(TypedDict):
    """A cookie to set for the visitor."""

    name: str
    value: str
    maxAge: int


class Answer(TypedDict, total=False):
    """What `get_offers` and `send_notifications` answer."""

    status: int
    request: Dict[str, Any]
    response: Dict[str, Any]
    targetCookie: Cookie
    targetLocationHintCookie: Cookie
    visitorState: Dict[str, Any]
    analyticsDetails: List[Dict[str, Any]]
    responseTokens: List[Dict[str, Any]]
    trace: List[Any]
    meta: Dict[str, Any]


#: An event of a client: `type`, `sequence` and what else docs/configuration.md names for it.
Event = Dict[str, Any]
OnEvent = Callable[[Event], object]
