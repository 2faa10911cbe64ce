"""The one thread of this package: takes events, log records and answers for callbacks from a queue of the library.

It is a Python thread, made by Python; the library's own threads never run Python code. It sleeps in the library, without
the GIL, until there is something to take.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import Any, Callable, Dict, Optional

from . import _log, _native
from ._native import ffi

_BATCH = 256

#: Takes a status and a document.
OnDone = Callable[[int, bytes], None]


class Receiver:
    """Takes the events of one client. The client owns it; the pump knows it by its tag, and weakly."""

    def on_event(self, document: bytes) -> None:
        raise NotImplementedError


class Pump:
    def __init__(self, library: Any) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._tags = itertools.count(1)
        self._receivers: weakref.WeakValueDictionary[int, Receiver] = weakref.WeakValueDictionary()
        self._calls: Dict[int, OnDone] = {}
        self._stopping = False
        out = ffi.new("target_queue *")
        _native.check(library.target_queue_create(out))
        self.queue = int(out[0])
        self._level = -1
        self.update_log_level()
        self._thread = threading.Thread(target=self._run, name="target-sdk", daemon=True)
        self._thread.start()

    def add_receiver(self, receiver: Receiver) -> int:
        """A tag for the events of a client."""
        with self._lock:
            tag = next(self._tags)
            self._receivers[tag] = receiver
            return tag

    def add_call(self, on_done: OnDone) -> int:
        """A tag for a call; `on_done` runs on the pump's thread."""
        with self._lock:
            tag = next(self._tags)
            self._calls[tag] = on_done
            return tag

    def remove_call(self, tag: int) -> None:
        """Forgets a call that was refused or abandoned."""
        self._calls.pop(tag, None)

    def update_log_level(self) -> None:
        """Has the library write what the logger `target_sdk` wants, and no more."""
        level = _log.wanted_level()
        if level != self._level:
            self._level = level
            self._library.target_set_log_queue(self.queue if level else 0, level)

    def stop(self, timeout: float) -> None:
        """Ends the thread after what has arrived; gives up waiting for a callback of the host after `timeout` seconds."""
        self._library.target_set_log_queue(0, 0)
        self._stopping = True
        self._library.target_queue_wake(self.queue)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        self._library.target_queue_destroy(self.queue)

    def _run(self) -> None:
        batch = ffi.new("target_completion[]", _BATCH)
        while True:
            stopping = self._stopping
            count = self._library.target_queue_poll(self.queue, batch, _BATCH, 0 if stopping else -1)
            if count < 0 or (stopping and count == 0):
                return
            for index in range(count):
                self._take(batch[index])
            self.update_log_level()

    def _take(self, completion: Any) -> None:
        try:
            try:
                document = _native.text(self._library, completion.result)
            finally:
                self._library.target_result_free(completion.result)
            if completion.kind == 2:  # TARGET_KIND_LOG
                _log.write(document)
            elif completion.kind == 1:  # TARGET_KIND_EVENT
                receiver = self._receivers.get(completion.tag)
                if receiver is not None:
                    receiver.on_event(document)
            else:
                on_done = self._calls.pop(completion.tag, None)
                if on_done is not None:
                    on_done(completion.status, document)
        except BaseException:  # whatever a callback raises, the others go on
            _log.LOGGER.exception("a callback raised an exception")


_lock = threading.Lock()
_pump: Optional[Pump] = None


def get(library: Any) -> Pump:
    """The pump of this process."""
    global _pump
    with _lock:
        if _pump is None:
            _pump = Pump(library)
        return _pump


def stop(timeout: float) -> None:
    """Ends the pump, if there is one."""
    global _pump
    with _lock:
        pump, _pump = _pump, None
    if pump is not None:
        pump.stop(timeout)


def update_log_level() -> None:
    """Has the library follow a new level of the logger at once."""
    with _lock:
        if _pump is not None:
            _pump.update_log_level()


def _after_fork() -> None:
    """In a forked child there is no thread; its queue is the parent's and is left alone."""
    global _lock, _pump
    _lock = threading.Lock()
    _pump = None


os.register_at_fork(after_in_child=_after_fork)
