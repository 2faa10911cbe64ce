"""The client."""

from __future__ import annotations

import asyncio
import atexit
import enum
import json
import os
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Dict, List, Literal, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union, overload

from . import _errors, _events, _loops, _native, _pump, _waiter
from ._attributes import Attributes
from ._native import GET_ATTRIBUTES, GET_OFFERS, NULL, SEND_NOTIFICATIONS, Operation, Options, ffi, loads
from ._types import Answer, OnEvent

_T = TypeVar("_T")

#: How long closing waits for calls and notifications, in seconds, where nothing else is said.
_DRAIN = 2.0
#: How long the end of the interpreter waits for all clients, in seconds.
_EXIT = 0.5
#: What `target_client_close` may take beyond its time to drain, in seconds.
_CLOSE_GRACE = 0.2


class ClientState(enum.IntEnum):
    """Where a client is in its life."""

    STARTING = 0
    READY = 1
    DEGRADED = 2
    OFFLINE = 3
    DRAINING = 4
    CLOSED = 5


class TargetClient:
    """A client of Adobe Target. Made by `create`; one is enough for a process, for all its threads and event loops.

    Coroutines and synchronous methods (those that end with `_sync`) may be mixed. Synchronous methods let other threads
    run while they wait and are ended by Ctrl-C.
    """

    def __init__(self, config: Options, *, on_event: Optional[OnEvent] = None) -> None:
        self._library = library = _native.load()
        text = _native.payload(config)
        self._local = _decides_on_device(config, text)
        self._may_wait = True
        pump = _pump.get(library)
        pump.update_log_level()
        self._events = _events.Events(on_event)
        hooks = ffi.new(
            "target_client_hooks *",
            {"size": ffi.sizeof("target_client_hooks"), "queue": pump.queue, "tag": pump.add_receiver(self._events)},
        )
        out, error = ffi.new("target_client *"), ffi.new(_native.RESULT)
        status = library.target_client_create(text, len(text), hooks, out, error)
        if status:
            _native.finish(library, status, error)
        self._handle = int(out[0])
        _native.at_end_of(self, _destroy, library, self._handle)
        _clients.add(self)

    @classmethod
    def create(cls, config: Options, *, on_event: Optional[OnEvent] = None) -> TargetClient:
        """Makes a client; does not wait for anything.

        `config` is described in docs/configuration.md: a mapping, or JSON text of one. `on_event` is called with each event
        on this package's own thread; it must not wait for long, because log records and other events wait behind it.
        """
        return cls(config, on_event=on_event)

    # Offers

    @overload
    async def get_offers(
        self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[False] = ...
    ) -> Answer: ...
    @overload
    async def get_offers(self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[True]) -> bytes: ...

    async def get_offers(
        self, options: Options, *, timeout: Optional[float] = None, raw: bool = False
    ) -> Union[Answer, bytes]:
        """Asks Target for offers. `timeout` is in seconds; `raw` gives the answer as JSON text instead of a dict."""
        return _answer(await self._call(GET_OFFERS, _arguments(options), timeout), raw)

    @overload
    def get_offers_sync(
        self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[False] = ...
    ) -> Answer: ...
    @overload
    def get_offers_sync(self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[True]) -> bytes: ...

    def get_offers_sync(
        self, options: Options, *, timeout: Optional[float] = None, raw: bool = False
    ) -> Union[Answer, bytes]:
        """As `get_offers`, waiting."""
        arguments = _arguments(options)
        return _answer(self._call_sync(GET_OFFERS, arguments, self._stays_here(options, arguments[0]), timeout), raw)

    # Notifications

    @overload
    async def send_notifications(
        self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[False] = ...
    ) -> Answer: ...
    @overload
    async def send_notifications(
        self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[True]
    ) -> bytes: ...

    async def send_notifications(
        self, options: Options, *, timeout: Optional[float] = None, raw: bool = False
    ) -> Union[Answer, bytes]:
        """Tells Target what was shown or clicked."""
        return _answer(await self._call(SEND_NOTIFICATIONS, _arguments(options), timeout), raw)

    @overload
    def send_notifications_sync(
        self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[False] = ...
    ) -> Answer: ...
    @overload
    def send_notifications_sync(
        self, options: Options, *, timeout: Optional[float] = ..., raw: Literal[True]
    ) -> bytes: ...

    def send_notifications_sync(
        self, options: Options, *, timeout: Optional[float] = None, raw: bool = False
    ) -> Union[Answer, bytes]:
        """As `send_notifications`, waiting."""
        return _answer(self._call_sync(SEND_NOTIFICATIONS, _arguments(options), False, timeout), raw)

    # Attributes

    async def get_attributes(
        self, mboxes: Sequence[str], options: Optional[Options] = None, *, timeout: Optional[float] = None
    ) -> Attributes:
        """Asks Target for the JSON offers of some mboxes."""
        arguments = _attribute_arguments(mboxes, options)
        return Attributes(loads(str(await self._call(GET_ATTRIBUTES, arguments, timeout), "utf-8")))

    def get_attributes_sync(
        self, mboxes: Sequence[str], options: Optional[Options] = None, *, timeout: Optional[float] = None
    ) -> Attributes:
        """As `get_attributes`, waiting."""
        arguments = _attribute_arguments(mboxes, options)
        stays_here = self._stays_here(options, b"" if options is None else arguments[2])
        return Attributes(loads(str(self._call_sync(GET_ATTRIBUTES, arguments, stays_here, timeout), "utf-8")))

    # Life

    @property
    def state(self) -> ClientState:
        """Where the client is in its life."""
        out = ffi.new("int32_t *")
        _native.check(self._library.target_client_state(self._handle, out))
        return ClientState(out[0])

    async def wait_ready(self, timeout: float = 10.0) -> None:
        """Waits until the client can decide as configured. A server-side client always can.

        Raises `TargetTimeoutError` when it is still starting, `NotReadyError` when the first artifact could not be had
        (the client goes on trying).
        """
        await _beside(self._wait_ready(timeout))

    def wait_ready_sync(self, timeout: float = 10.0) -> None:
        """As `wait_ready`, waiting."""
        _waiter.interruptibly(self._wait_ready(timeout))

    async def flush(self, timeout: float = 5.0) -> Dict[str, int]:
        """Sends queued notifications and telemetry; says how many were `delivered` and `dropped`.

        Raises `TargetTimeoutError` when some are left after `timeout` seconds; they stay queued.
        """
        return await _beside(self._flush(timeout))

    def flush_sync(self, timeout: float = 5.0) -> Dict[str, int]:
        """As `flush`, waiting."""
        return _waiter.interruptibly(self._flush(timeout))

    async def close(self, drain: float = _DRAIN) -> Dict[str, int]:
        """Refuses new calls, waits up to `drain` seconds for those in flight and for notifications, then cancels the rest.

        Says how many calls were `completed` and `cancelled`, how many notifications `delivered` and `dropped`. Closing
        again is allowed.
        """
        return await _beside(self._close(drain))

    def close_sync(self, drain: float = _DRAIN) -> Dict[str, int]:
        """As `close`, waiting."""
        return _waiter.interruptibly(self._close(drain))

    async def __aenter__(self) -> TargetClient:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    def __enter__(self) -> TargetClient:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close_sync()

    # Insight

    def stats(self) -> Dict[str, Any]:
        """Statistics: see docs/statistics.md."""
        return _document(self._read(self._library.target_client_stats))

    def artifact(self) -> bytes:
        """The rules artifact in use, as JSON text: `artifactPayload` or `artifactFile` of a client in another process.

        Raises `NotReadyError` when there is none.
        """
        return self._read(self._library.target_client_artifact)

    def events(self) -> _events.EventStream:
        """Events from now on, for the running event loop: `async for event in client.events()`."""
        return _events.EventStream(self._events)

    # What the above is made of

    async def _call(self, operation: Operation, arguments: Tuple[Any, ...], timeout: Optional[float]) -> bytes:
        courier = _loops.courier(self._library)
        return await courier.call(self._handle, operation, arguments, _native.milliseconds(timeout))

    def _call_sync(
        self, operation: Operation, arguments: Tuple[Any, ...], stays_here: bool, timeout: Optional[float]
    ) -> bytes:
        deadline = _native.milliseconds(timeout)
        if stays_here:
            return operation.sync(self._library, self._handle, arguments, deadline)
        return _waiter.call(self._library, self._handle, operation, arguments, deadline)

    def _submit(
        self, operation: Operation, arguments: Tuple[Any, ...], timeout: Optional[float], on_done: _pump.OnDone
    ) -> int:
        """For callbacks: `on_done(status, document)` runs on this package's thread. Returns the request."""
        pump = _pump.get(self._library)
        tag = pump.add_call(on_done)
        call = ffi.new(
            "target_call *",
            {
                "size": ffi.sizeof("target_call"),
                "queue": pump.queue,
                "tag": tag,
                "deadline_ms": _native.milliseconds(timeout),
            },
        )
        request = ffi.new(_native.REQUEST)
        try:
            operation.submit(self._library, self._handle, arguments, call, request)
        except BaseException:
            pump.remove_call(tag)
            raise
        return int(request[0])

    def _stays_here(self, options: Optional[Options], text: bytes) -> bool:
        """Whether a call is decided at once on this thread: then it needs no waiting in slices.

        A guess that costs nothing but a late reaction to Ctrl-C when it is wrong.
        """
        local = self._local
        if b'"decisioningMethod"' in text:
            local = isinstance(options, Mapping) and options.get("decisioningMethod") == "on-device"
        if not local or b'"ipAddress"' in text:  # the visitor's place may have to be looked up
            return False
        if self._may_wait:  # for the first artifact: maximumWaitReady
            self._may_wait = self.state == ClientState.STARTING
        return not self._may_wait

    def _read(self, read: Callable[[int, Any], int]) -> bytes:
        out = ffi.new(_native.RESULT)
        return _native.finish(self._library, read(self._handle, out), out)

    def _wait_ready(self, timeout: float) -> Callable[[], None]:
        library, handle, milliseconds = self._library, self._handle, _native.wait(timeout)
        return lambda: _native.check(library.target_client_wait_ready(handle, milliseconds))

    def _flush(self, timeout: float) -> Callable[[], Dict[str, int]]:
        library, handle, milliseconds = self._library, self._handle, _native.wait(timeout)
        return lambda: _report(library, lambda out: library.target_client_flush(handle, milliseconds, out))

    def _close(self, drain: float) -> Callable[[], Dict[str, int]]:
        library, handle, milliseconds = self._library, self._handle, _native.wait(drain)
        if self.state != ClientState.CLOSED:
            self._events.keep()
        return lambda: _report(library, lambda out: library.target_client_close(handle, milliseconds, out))


async def _beside(wait: Callable[[], _T]) -> _T:
    """Waits on another thread; cancelling the task does not wait for it."""
    return await asyncio.wrap_future(_waiter.in_background(wait))


def _decides_on_device(config: Options, text: bytes) -> bool:
    """Whether calls are decided on the device by default."""
    try:
        read = config if isinstance(config, Mapping) else json.loads(text)
        return bool(read.get("decisioningMethod") == "on-device")
    except (ValueError, AttributeError):
        return False  # the library says what is wrong with it


def _arguments(options: Options) -> Tuple[bytes, int]:
    text = _native.payload(options)
    return text, len(text)


def _attribute_arguments(mboxes: Sequence[str], options: Optional[Options]) -> Tuple[Any, ...]:
    if isinstance(mboxes, (str, bytes)):
        raise TypeError("mboxes is a list of names")
    names = _native.dump(list(mboxes))
    return (names, len(names), NULL, 0) if options is None else (names, len(names), *_arguments(options))


def _answer(document: bytes, raw: bool) -> Union[Answer, bytes]:
    if raw:
        return document
    answer: Answer = loads(str(document, "utf-8"))
    return answer


def _document(text: bytes) -> Dict[str, Any]:
    document: Dict[str, Any] = loads(str(text, "utf-8"))
    return document


def _report(library: Any, read: Callable[[Any], int]) -> Dict[str, int]:
    """A report, also where the status says that not all was done."""
    out = ffi.new(_native.RESULT)
    status = read(out)
    report: Dict[str, int] = {}
    if out[0]:
        try:
            report = _document(_native.text(library, out[0]))
        finally:
            library.target_result_free(out[0])
    if status:
        raise _errors.failed(status, report)
    return report


def _destroy(library: Any, handle: int) -> None:
    library.target_client_destroy(handle)


_clients: weakref.WeakSet[TargetClient] = weakref.WeakSet()


def _close_all() -> None:
    """At the end of the interpreter: what is queued is sent, within half a second for all clients together."""
    until = time.monotonic() + _EXIT
    clients = list(_clients)  # all of them until the last event is delivered
    for client in clients:
        drain = max(0.0, until - time.monotonic() - _CLOSE_GRACE)
        client._library.target_client_close(client._handle, int(drain * 1000), NULL)
    _pump.stop(max(0.1, until - time.monotonic()))


def _after_fork() -> None:
    """In a forked child: the parent's clients are not its own to close."""
    global _clients
    _clients = weakref.WeakSet()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
