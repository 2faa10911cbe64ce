"""The client with the methods of Adobe's Python SDK."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Type

from .. import _client, _errors, _log
from .._native import GET_ATTRIBUTES, GET_OFFERS, NULL, SEND_NOTIFICATIONS, Operation, dump, loads
from . import _answers, _options, _workers
from ._convert import family_of
from ._events import Events
from ._result import AsyncResult

#: How long `create` waits for the first artifact where `maximum_wait_ready` does not say, in seconds.
_READY = 60.0
#: How long the end of the program waits for calls with callbacks, in seconds, unless the client's `timeout` is longer.
_EXIT = 3.0

_Convert = Callable[[Dict[str, Any], Any, Any], Any]


class TargetClient:
    """A client of Adobe Target. Made by `TargetClient.create`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        if not options or not options.get("internal"):
            raise _errors.InvalidArgumentError("Please use TargetClient.create static method instead")
        _forward_log(options.get("logger"))
        config = _options.of_client(options)
        self._events = Events(options.get("events"))
        self._client = _client.TargetClient(config, on_event=self._events)
        self._lock = threading.Lock()
        self._in_flight: Set[AsyncResult] = set()
        self._timeout = config.get("timeout") or 0
        if config.get("decisioningMethod") in ("on-device", "hybrid"):
            waiting = config.get("maximumWaitReady")
            self._wait_ready(waiting / 1000 if isinstance(waiting, (int, float)) else _READY)
        self._events.release()
        _clients.add(self)

    @staticmethod
    def create(options: Optional[Mapping[str, Any]] = None) -> TargetClient:
        """Makes a client. One that decides on the device waits for its rules: `maximum_wait_ready` milliseconds, or until
        they are there or could not be had. Then it goes on trying, as a log record says.

        `options` are those of Adobe's SDK, and all of docs/configuration.md, in snake_case. `polling_interval` is in
        seconds, as there; all other times are milliseconds. `events` maps names (`client_ready`,
        `artifact_download_succeeded`, `artifact_download_failed`, `geo_location_updated`, ...) to functions of one dict,
        which are called after this has returned. `logger` gets what the library has to say.
        """
        if not isinstance(options, Mapping) or not options:
            raise _errors.InvalidOptionsError("Options are required")
        return TargetClient({**options, "internal": True})

    @property
    def client(self) -> _client.TargetClient:
        """The same client with the modern methods: coroutines, statistics, and so on."""
        return self._client

    def get_offers(self, options: Mapping[str, Any]) -> Any:
        """Asks for offers. `options["request"]` is a `DeliveryRequest` of this package or of `delivery_api_client`, or a
        dict; request and response in the answer are of the same kind.

        Without `callback` it waits and returns the answer, a dict. With one it returns an `AsyncResult` at once;
        `callback(answer)` or `err_callback(error)` is called on another thread.
        """
        _options.check(options)
        return self._call(GET_OFFERS, _arguments(options), options, _answers.envelope)

    def send_notifications(self, options: Mapping[str, Any]) -> Any:
        """Tells Target what was shown or clicked. Returns as `get_offers` does."""
        _options.check(options)
        return self._call(SEND_NOTIFICATIONS, _arguments(options), options, _answers.envelope)

    def get_attributes(self, mbox_names: Sequence[str], options: Optional[Mapping[str, Any]] = None) -> Any:
        """Asks for the JSON offers of mboxes: an `AttributesProvider`, which `callback` gets where there is one."""
        options = _options.check(options) if options else {}
        if isinstance(mbox_names, (str, bytes)):
            raise _errors.InvalidArgumentError("mbox_names is a list of names")
        names = dump(list(mbox_names))
        arguments = (names, len(names), *_arguments(options)) if options else (names, len(names), NULL, 0)
        return self._call(GET_ATTRIBUTES, arguments, options, _answers.attributes)

    def close(self, drain: float = 2.0) -> None:
        """Waits up to `drain` seconds for calls and notifications, then ends what is left."""
        self._client.close_sync(drain)

    def __enter__(self) -> TargetClient:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _wait_ready(self, timeout: float) -> None:
        try:
            self._client.wait_ready_sync(timeout)
        except (_errors.NotReadyError, _errors.TargetTimeoutError) as error:
            _log.LOGGER.error("no rules to decide with yet: %s", error)

    def _call(
        self, operation: Operation, arguments: Tuple[Any, ...], options: Mapping[str, Any], convert: _Convert
    ) -> Any:
        visitor, family = options.get("visitor"), family_of(options.get("request"))
        callback = options.get("callback")
        if callback is not None:
            return self._call_back(
                operation,
                arguments,
                lambda document: convert(loads(str(document, "utf-8")), visitor, family),
                callback,
                options.get("err_callback"),
            )
        stays_here = operation is not SEND_NOTIFICATIONS and self._client._stays_here(None, arguments[-2] or b"")
        try:
            document = self._client._call_sync(operation, arguments, stays_here, None)
        except _errors.TargetError as error:
            raise _answers.error(error) from None
        return convert(loads(str(document, "utf-8")), visitor, family)

    def _call_back(
        self,
        operation: Operation,
        arguments: Tuple[Any, ...],
        convert: Callable[[bytes], Any],
        callback: Callable[[Any], object],
        err_callback: Optional[Callable[[BaseException], object]],
    ) -> AsyncResult:
        result = AsyncResult()

        def finish(status: int, document: bytes) -> None:
            value, error = None, None
            try:
                if status:
                    error = _answers.error(_errors.from_text(status, document))
                else:
                    value = convert(document)
            except Exception as raised:
                error = raised
            try:
                if error is None:
                    callback(value)
                elif err_callback is not None:
                    err_callback(error)
                else:
                    _log.LOGGER.error("a call without err_callback failed: %s", error)
            finally:
                with self._lock:
                    self._in_flight.discard(result)
                result._finish(value, error)

        with self._lock:
            self._in_flight.add(result)
        try:
            self._client._submit(
                operation, arguments, None, lambda *outcome: _workers.run(lambda: finish(*outcome))
            )
        except BaseException:
            with self._lock:
                self._in_flight.discard(result)
            raise
        return result


def _arguments(options: Mapping[str, Any]) -> Tuple[bytes, int]:
    text = dump(_options.of_call(options))
    return text, len(text)


class _Forward(logging.Handler):
    """Hands records to the logger of the host."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        if self.logger.isEnabledFor(record.levelno):
            self.logger.handle(record)


def _forward_log(logger: Optional[logging.Logger]) -> None:
    if logger is None:
        return
    if not isinstance(logger, logging.Logger):
        raise _errors.InvalidOptionsError("logger is a logging.Logger", {"path": "/logger"})
    known: List[Any] = [handler.logger for handler in _log.LOGGER.handlers if isinstance(handler, _Forward)]
    if logger not in known and logger is not _log.LOGGER:
        _log.LOGGER.addHandler(_Forward(logger))
        if _log.LOGGER.getEffectiveLevel() > logger.getEffectiveLevel():
            _log.LOGGER.setLevel(logger.getEffectiveLevel())


_clients: "weakref.WeakSet[TargetClient]" = weakref.WeakSet()


def _finish_calls() -> None:
    """At the end of the program: calls with callbacks are let finish, as in Adobe's SDK, but not for ever."""
    for client in list(_clients):
        with client._lock:
            waiting = list(client._in_flight)
        until = time.monotonic() + max(_EXIT, client._timeout / 1000)
        for result in waiting:
            result.wait(max(0.0, until - time.monotonic()))


def _after_fork() -> None:
    """In a forked child: the parent's calls are not its own to wait for."""
    global _clients
    _clients = weakref.WeakSet()


atexit.register(_finish_calls)
os.register_at_fork(after_in_child=_after_fork)
