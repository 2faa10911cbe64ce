"""Events of a client: to a function, and to streams of event loops."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Optional, Set

from . import _pump
from ._native import loads
from ._types import Event, OnEvent


class Events(_pump.Receiver):
    """Hands the events of one client on. Its methods but `on_event` may be called from any thread."""

    def __init__(self, on_event: Optional[OnEvent]) -> None:
        self._on_event = on_event
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._is_over = False

    def keep(self) -> None:
        """The client is about to be closed: its last events arrive even if the client is gone by then."""
        with self._lock:
            if self._on_event is not None and not self._is_over:
                _closing.add(self)

    def add(self, stream: EventStream) -> None:
        with self._lock:
            self._streams.add(stream)

    def remove(self, stream: EventStream) -> None:
        with self._lock:
            self._streams.discard(stream)

    def on_event(self, document: bytes) -> None:
        with self._lock:
            streams = list(self._streams)
        if self._on_event is None and not streams:
            return  # an event may hold a whole artifact: it is read for those only who want it
        event: Event = loads(str(document, "utf-8"))
        for stream in streams:
            stream.put(event)
        try:
            if self._on_event is not None:
                self._on_event(event)
        finally:
            if event.get("type") == "closed":
                with self._lock:
                    self._is_over = True
                    _closing.discard(self)


#: Those that are kept until their last event.
_closing: Set[Events] = set()


class EventStream:
    """Events from now on: `async for event in client.events()`. Ends with the event `closed`."""

    def __init__(self, events: Events) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: "asyncio.Queue[Optional[Event]]" = asyncio.Queue()
        self._events = events
        self._ended = False
        events.add(self)

    def put(self, event: Event) -> None:
        """From the pump's thread."""
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)
        except RuntimeError:  # the loop was closed
            self._events.remove(self)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        event = None if self._ended else await self._queue.get()
        if event is None:
            self._ended = True
            raise StopAsyncIteration
        self._ended = event.get("type") == "closed"
        return event

    async def aclose(self) -> None:
        """Ends the stream, also for a task that waits for its next event."""
        self._events.remove(self)
        self._queue.put_nowait(None)
