"""Adobe Target (A/B testing and personalisation): offers, attributes and notifications, from Target or decided on the device.

    async with TargetClient.create({"client": "acme", "organizationId": "1234@AdobeOrg"}) as client:
        answer = await client.get_offers({"request": {"execute": {"mboxes": [{"name": "hero"}]}}})
"""

import os
from typing import Union

from . import _native, _pump
from ._attributes import Attributes
from ._client import ClientState, TargetClient
from ._errors import (
    AlreadyInitError,
    ArtifactError,
    BadHandleError,
    CallbackStuckError,
    CircuitOpenError,
    ClosedError,
    DecodeError,
    ForkedError,
    HttpError,
    InternalError,
    InvalidArgumentError,
    InvalidJsonError,
    InvalidOptionsError,
    LibraryError,
    NetworkError,
    NoAttributeError,
    NotReadyError,
    QueueFullError,
    TargetCancelledError,
    TargetError,
    TargetTimeoutError,
    TlsError,
    WouldDeadlockError,
)
from ._events import EventStream
from ._native import Options
from ._types import Answer, Cookie, Event, OnEvent

__version__ = "0.1.0"


def load_library(path: Union[str, "os.PathLike[str]", None] = None) -> None:
    """Loads the shared library now, from `path`. Otherwise the first client loads it, from the environment variable
    `TARGET_SDK_LIBRARY`, from this package, or from where the system looks."""
    _native.load(path)


def library_version() -> str:
    """Version of the shared library."""
    version: bytes = _native.ffi.string(_native.load().target_version())
    return version.decode("ascii")


def cookie_name() -> str:
    """Name of the cookie that holds session and device id."""
    name: bytes = _native.ffi.string(_native.load().target_cookie_name())
    return name.decode("ascii")


def location_hint_cookie_name() -> str:
    """Name of the cookie that holds the edge cluster."""
    name: bytes = _native.ffi.string(_native.load().target_location_hint_cookie_name())
    return name.decode("ascii")


def visitor_cookie_name(organization_id: str) -> str:
    """Name of the visitor cookie of an organization. Browsers may send it percent-encoded."""
    room = _native.ffi.new("char[]", 256)
    _native.check(
        _native.load().target_visitor_cookie_name(organization_id.encode("utf-8"), room, len(room), _native.NULL)
    )
    name: bytes = _native.ffi.string(room)
    return name.decode("utf-8")


def update_log_level() -> None:
    """Has the library follow a new level of the logger `target_sdk` at once.

    It looks at the level when a client is made and whenever it has had something to say.
    """
    _pump.update_log_level()


__all__ = [
    "AlreadyInitError",
    "Answer",
    "ArtifactError",
    "Attributes",
    "BadHandleError",
    "CallbackStuckError",
    "CircuitOpenError",
    "ClientState",
    "ClosedError",
    "Cookie",
    "DecodeError",
    "Event",
    "EventStream",
    "ForkedError",
    "HttpError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidJsonError",
    "InvalidOptionsError",
    "LibraryError",
    "NetworkError",
    "NoAttributeError",
    "NotReadyError",
    "OnEvent",
    "Options",
    "QueueFullError",
    "TargetCancelledError",
    "TargetClient",
    "TargetError",
    "TargetTimeoutError",
    "TlsError",
    "WouldDeadlockError",
    "__version__",
    "cookie_name",
    "library_version",
    "load_library",
    "location_hint_cookie_name",
    "update_log_level",
    "visitor_cookie_name",
]
