"""Answers for asyncio: one queue of the library for each event loop, which watches the queue's descriptor.

All of a `Courier` but its making and its end happens on the thread of its loop, so nothing is locked. Tags are numbers, and
what they stand for is looked up in a dict here: the library never holds a reference to a Python object.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import weakref
from typing import Any, Dict, Tuple

from . import _errors, _native
from ._native import Operation, ffi

#: Answers that one wake-up of the loop takes; the descriptor stays readable while there are more.
_BATCH = 256


class Courier:
    """Brings the answers of one event loop's calls."""

    def __init__(self, library: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._library = library
        self._pending: Dict[int, "asyncio.Future[bytes]"] = {}
        self._tags = itertools.count(1)
        out = ffi.new("target_queue *")
        _native.check(library.target_queue_create(out))
        queue = int(out[0])
        # The loop keeps this object alive, by the reader, and not the other way round.
        self.end = _native.at_end_of(self, _destroy_queue, library, queue)
        fd = ffi.new("intptr_t *")
        _native.check(library.target_queue_fd(queue, fd))
        self._queue = queue
        self._batch = ffi.new("target_completion[]", _BATCH)
        self._call = ffi.new("target_call *", {"size": ffi.sizeof("target_call"), "queue": queue})
        self._request = ffi.new(_native.REQUEST)
        loop.add_reader(int(fd[0]), self._take)

    async def call(self, client: int, operation: Operation, arguments: Tuple[Any, ...], deadline: int) -> bytes:
        """One call: its document, or the error that it is. Cancelling the task abandons the call."""
        tag = next(self._tags)
        call = self._call
        call.tag = tag
        call.deadline_ms = deadline
        operation.submit(self._library, client, arguments, call, self._request)
        request = self._request[0]
        future: "asyncio.Future[bytes]" = asyncio.get_running_loop().create_future()
        self._pending[tag] = future
        try:
            return await future
        finally:
            if self._pending.pop(tag, None) is not None:
                self._library.target_request_abandon(request)

    def _take(self) -> None:
        library, batch = self._library, self._batch
        count = library.target_queue_poll(self._queue, batch, _BATCH, 0)
        # Negative in a forked child that goes on with its parent's loop. It must not stop watching: epoll sets are shared, and
        # the parent would hear nothing more.
        for index in range(count):
            completion = batch[index]
            result = completion.result
            try:
                document = _native.text(library, result)
            finally:
                library.target_result_free(result)
            future = self._pending.pop(completion.tag, None)
            if future is None or future.done():
                continue  # its task was cancelled
            status = completion.status
            if status:
                future.set_exception(_errors.from_text(status, document))
            else:
                future.set_result(document)


def _destroy_queue(library: Any, queue: int) -> None:
    library.target_queue_destroy(queue)


_lock = threading.Lock()
_couriers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Courier]]
_couriers = weakref.WeakKeyDictionary()


def courier(library: Any) -> Courier:
    """The courier of the running loop."""
    loop = asyncio.get_running_loop()
    reference = _couriers.get(loop)
    found = reference() if reference is not None else None
    return found if found is not None else _new(library, loop)


def _new(library: Any, loop: asyncio.AbstractEventLoop) -> Courier:
    with _lock:
        # A closed loop watches nothing any more; it may be a while until it is collected.
        for other, reference in list(_couriers.items()):
            if other.is_closed():
                del _couriers[other]
                old = reference()
                if old is not None:
                    old.end()
        try:
            made = Courier(library, loop)
        except NotImplementedError as error:
            raise RuntimeError(f"{type(loop).__name__} has no add_reader; use an event loop that can watch descriptors") from error
        _couriers[loop] = weakref.ref(made)
        return made


def _after_fork() -> None:
    """In a forked child: its loops are new, and the parent's queues are not its own."""
    global _lock, _couriers
    _lock = threading.Lock()
    _couriers = weakref.WeakKeyDictionary()


os.register_at_fork(after_in_child=_after_fork)
