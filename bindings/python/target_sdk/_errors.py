"""One family of exceptions: a class for each status of the C interface."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Type

Document = Dict[str, Any]


class TargetError(Exception):
    """Something failed. `name` and `code` are the status, `document` is what the library says about it."""

    #: Name and number of the status, of subclasses.
    name = "TARGET_E_UNKNOWN"
    code = 0
    #: What to say where the library refuses a call without a document.
    _refusal = "the call was refused"

    def __init__(self, message: Optional[str] = None, document: Optional[Mapping[str, Any]] = None) -> None:
        self.message = message or self._refusal
        super().__init__(self.message)
        self.document: Document = dict(document or {})

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    def __reduce__(self) -> Tuple[Callable[..., TargetError], Tuple[int, str, Document]]:
        return _again, (self.code, self.message, self.document)

    @property
    def retryable(self) -> bool:
        """Whether asking again later may help."""
        return bool(self.document.get("retryable", False))

    @property
    def path(self) -> Optional[str]:
        """JSON pointer of the value at fault."""
        return self._text("path")

    @property
    def phase(self) -> Optional[str]:
        """Where a network call was."""
        return self._text("phase")

    @property
    def http_status(self) -> Optional[int]:
        """HTTP status of the answer."""
        return self._number("httpStatus")

    @property
    def attempts(self) -> Optional[int]:
        """Requests sent."""
        return self._number("attempts")

    @property
    def elapsed_ms(self) -> Optional[int]:
        """How long it took, in milliseconds."""
        return self._number("elapsedMs")

    @property
    def request_id(self) -> Optional[str]:
        """The request id that the call was sent with."""
        return self._text("requestId")

    def _text(self, member: str) -> Optional[str]:
        value = self.document.get(member)
        return value if isinstance(value, str) else None

    def _number(self, member: str) -> Optional[int]:
        value = self.document.get(member)
        return int(value) if isinstance(value, (int, float)) else None


class InvalidArgumentError(TargetError, ValueError):
    """Invalid UTF-8, an embedded NUL, a bad length."""

    name, code = "TARGET_E_INVALID_ARG", -3
    _refusal = "the text is not valid UTF-8 or has a NUL in it"


class BadHandleError(TargetError):
    """The handle never existed, was destroyed, or is of another type."""

    name, code = "TARGET_E_BAD_HANDLE", -4
    _refusal = "the handle never existed or was destroyed"


class InvalidJsonError(TargetError, ValueError):
    """Not JSON, too deep or too large."""

    name, code = "TARGET_E_INVALID_JSON", -5


class InvalidOptionsError(TargetError, ValueError):
    """JSON of the wrong shape, or a value that fails validation; `path` names it."""

    name, code = "TARGET_E_INVALID_OPTIONS", -6


class NotReadyError(TargetError):
    """On-device decisioning asked for and no artifact yet."""

    name, code = "TARGET_E_NOT_READY", -7
    _refusal = "there is no artifact yet; the client goes on trying"


class TargetTimeoutError(TargetError, TimeoutError):
    """The time passed."""

    name, code = "TARGET_E_TIMEOUT", -8
    _refusal = "the time passed"


class TargetCancelledError(TargetError):
    """The call was cancelled by closing its client. A cancelled task sees `asyncio.CancelledError`."""

    name, code = "TARGET_E_CANCELLED", -9


class QueueFullError(TargetError):
    """`maxInFlight` and `maxQueued` are reached."""

    name, code = "TARGET_E_QUEUE_FULL", -10
    _refusal = "too many calls in flight (maxInFlight, maxQueued)"

    @property
    def retryable(self) -> bool:
        return True


class ClosedError(TargetError):
    """The client is closing or closed."""

    name, code = "TARGET_E_CLOSED", -11
    _refusal = "the client is closed"


class WouldDeadlockError(TargetError):
    """A waiting call made from a callback that it would wait for."""

    name, code = "TARGET_E_WOULD_DEADLOCK", -12


class NetworkError(TargetError):
    """Name look-up, connect, reset, proxy."""

    name, code = "TARGET_E_NETWORK", -13


class TlsError(TargetError):
    """TLS handshake or certificate."""

    name, code = "TARGET_E_TLS", -14


class HttpError(TargetError):
    """Target answered with a status that is not 2xx: `http_status`."""

    name, code = "TARGET_E_HTTP", -15


class DecodeError(TargetError):
    """The answer is not what the Delivery API promises."""

    name, code = "TARGET_E_DECODE", -16


class ArtifactError(TargetError):
    """The artifact is unavailable, of an unsupported version, or invalid."""

    name, code = "TARGET_E_ARTIFACT", -17


class NoAttributeError(TargetError, KeyError):
    """No such mbox or attribute."""

    name, code = "TARGET_E_NO_ATTRIBUTE", -18


class CircuitOpenError(TargetError):
    """The server is known to be down: failed without asking it."""

    name, code = "TARGET_E_CIRCUIT_OPEN", -19


class ForkedError(TargetError):
    """The client was made before a fork and belongs to the parent process."""

    name, code = "TARGET_E_FORKED", -20
    _refusal = "this client was made before the fork and belongs to the parent process: create a new one in the child"


class AlreadyInitError(TargetError):
    """The library runs with other options."""

    name, code = "TARGET_E_ALREADY_INIT", -21


class CallbackStuckError(TargetError):
    """Gave up waiting for a callback that does not return."""

    name, code = "TARGET_E_CALLBACK_STUCK", -22


class InternalError(TargetError):
    """A bug in the library, which stays usable. Please report it."""

    name, code = "TARGET_E_INTERNAL", -23
    _refusal = "a bug in target-sdk, please report it"


class LibraryError(ImportError):
    """The shared library cannot be found or is of another version."""


_BY_CODE: Dict[int, Type[TargetError]] = {kind.code: kind for kind in TargetError.__subclasses__()}


def _again(code: int, message: str, document: Document) -> TargetError:
    """An exception that was pickled."""
    return _BY_CODE.get(code, TargetError)(message, document)


def refused(status: int) -> TargetError:
    """The exception for a status that comes without a document."""
    return failed(status, {})


def failed(status: int, document: Mapping[str, Any]) -> TargetError:
    """The exception for a status and its document."""
    message = document.get("message")
    error = _BY_CODE.get(status, TargetError)(message if isinstance(message, str) else None, document)
    if status not in _BY_CODE:
        # A status that a newer library knows and this package does not.
        error.code, error.name = status, str(document.get("name", f"status {status}"))
    return error


def from_text(status: int, text: bytes) -> TargetError:
    """The exception for an error document as it comes out of the library."""
    try:
        document = json.loads(text)
    except ValueError:
        document = {}
    return failed(status, document if isinstance(document, dict) else {})
