"""Waiting on the main thread so that Ctrl-C is heard, and waiting beside an event loop.

Python runs signal handlers on the main thread only, and only between its own instructions. There a call waits in slices of
100 ms, so that `KeyboardInterrupt` (or whatever a handler raises) ends it; on other threads it waits in one go.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import threading
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

from . import _errors, _native
from ._native import Operation, ffi

_SLICE_MS = 100
_T = TypeVar("_T")


class MainThreadQueue:
    """Calls of the main thread. A signal handler may make calls of its own while one waits."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._tags = itertools.count(1)
        self._arrived: Dict[int, Tuple[int, bytes]] = {}
        out = ffi.new("target_queue *")
        _native.check(library.target_queue_create(out))
        self._queue = int(out[0])

    def call(self, client: int, operation: Operation, arguments: Tuple[Any, ...], deadline: int) -> bytes:
        tag = next(self._tags)
        call = ffi.new(
            "target_call *",
            {"size": ffi.sizeof("target_call"), "queue": self._queue, "tag": tag, "deadline_ms": deadline},
        )
        request = ffi.new(_native.REQUEST)
        try:
            operation.submit(self._library, client, arguments, call, request)
            while tag not in self._arrived:
                self._take()
            status, document = self._arrived.pop(tag)
        except BaseException:
            if request[0]:
                self._library.target_request_abandon(request[0])
                self._arrived.pop(tag, None)
            raise
        if status:
            raise _errors.from_text(status, document)
        return document

    def _take(self) -> None:
        """Waits for one slice; keeps what arrives, which may belong to the call that a signal handler interrupted."""
        one = ffi.new("target_completion *")
        try:
            count = self._library.target_queue_poll(self._queue, one, 1, _SLICE_MS)
            if count < 0:
                raise _errors.refused(count)
            if count:
                self._arrived[int(one.tag)] = (int(one.status), _native.text(self._library, one.result))
        finally:
            self._library.target_result_free(one.result)  # 0 is ignored


_main: Optional[MainThreadQueue] = None


def is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def call(library: Any, client: int, operation: Operation, arguments: Tuple[Any, ...], deadline: int) -> bytes:
    """A synchronous call that may take a while."""
    global _main
    if not is_main_thread():
        return operation.sync(library, client, arguments, deadline)
    if _main is None:
        _main = MainThreadQueue(library)
    return _main.call(client, operation, arguments, deadline)


def in_background(wait: Callable[[], _T]) -> "concurrent.futures.Future[_T]":
    """Runs a function of the library that waits on a thread of its own, which nobody has to wait for at exit."""
    future: "concurrent.futures.Future[_T]" = concurrent.futures.Future()

    def run() -> None:
        try:
            value = wait()
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        else:
            if future.set_running_or_notify_cancel():
                future.set_result(value)

    threading.Thread(target=run, name="target-sdk-wait", daemon=True).start()
    return future


def interruptibly(wait: Callable[[], _T]) -> _T:
    """Runs a function of the library that waits so that Ctrl-C is heard."""
    if not is_main_thread():
        return wait()
    try:
        future = in_background(wait)
    except RuntimeError:  # the interpreter is ending and starts no more threads
        return wait()
    return future.result()


def _after_fork() -> None:
    """In a forked child: the queue is the parent's."""
    global _main
    _main = None


os.register_at_fork(after_in_child=_after_fork)
