"""Threads for the host's functions, which may take their time and call this package again.

A thread is started when none is idle, and ends when it has been idle for a while. They are daemons: none holds up the end
of the interpreter.
"""

from __future__ import annotations

import collections
import os
import queue
import threading
from typing import Callable, Deque

from .. import _log

Job = Callable[[], object]

#: How long a thread waits for more to do, in seconds.
_IDLE = 5.0


class Workers:
    def __init__(self) -> None:
        self._jobs: "queue.SimpleQueue[Job]" = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def run(self, job: Job) -> None:
        """Runs a job soon, on another thread; on this one when the interpreter is ending and starts no more threads."""
        with self._lock:
            claimed = self._idle > 0
            if claimed:
                self._idle -= 1
                self._jobs.put(job)
        if not claimed:
            try:
                threading.Thread(target=self._work, args=(job,), name="target-sdk-callback", daemon=True).start()
            except RuntimeError:
                _run(job)

    def _work(self, job: Job) -> None:
        while True:
            _run(job)
            del job  # nothing of the host's is kept while idle
            with self._lock:
                self._idle += 1
            try:
                job = self._jobs.get(timeout=_IDLE)
            except queue.Empty:
                with self._lock:
                    # A job that was put since then counts on this thread.
                    try:
                        job = self._jobs.get_nowait()
                    except queue.Empty:
                        self._idle -= 1
                        return


class Lane:
    """Jobs one after the other, in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Deque[Job] = collections.deque()
        self._running = False

    def run(self, job: Job) -> None:
        with self._lock:
            self._waiting.append(job)
            if self._running:
                return
            self._running = True
        run(self._drain)

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                job = self._waiting.popleft()
            _run(job)


def _run(job: Job) -> None:
    try:
        job()
    except Exception:
        _log.LOGGER.exception("a callback raised an exception")


_workers = Workers()


def run(job: Job) -> None:
    """Runs a job soon, on another thread."""
    _workers.run(job)


def _after_fork() -> None:
    """In a forked child there are no threads."""
    global _workers
    _workers = Workers()


os.register_at_fork(after_in_child=_after_fork)
