"""Events under the names of Adobe's Python SDK."""

from __future__ import annotations

import re
import threading
from typing import Any, Callable, Dict, List, Mapping, Optional

from .. import _errors
from .._types import Event
from . import _workers

Handler = Callable[[Dict[str, Any]], object]

#: How long after `create` has returned the first event comes, in seconds: Adobe's samples use the variable that they
#: assign the client to.
_DELAY = 0.1


def snake_case(name: str) -> str:
    """`clientReady` as `client_ready`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class Events:
    """Hands events to the handlers of one client, in order, on a thread where they may wait and make calls."""

    def __init__(self, handlers: Optional[Mapping[str, Handler]]) -> None:
        self._handlers = dict(handlers or {})
        for name, handler in self._handlers.items():
            if not callable(handler):
                raise _errors.InvalidOptionsError(f"the handler of {name} is not callable", {"path": f"/events/{name}"})
        self._lane = _workers.Lane()
        self._lock = threading.Lock()
        self._held: Optional[List[Event]] = []

    def __call__(self, event: Event) -> None:
        """From the pump's thread."""
        with self._lock:
            if self._held is not None:
                self._held.append(event)
                return
        self._emit(event)

    def release(self) -> None:
        """Lets events through, from a moment after now."""
        if self._handlers:
            timer = threading.Timer(_DELAY, self._release)
            timer.daemon = True
            timer.start()
        else:
            self._release()

    def _release(self) -> None:
        while True:
            with self._lock:
                held, self._held = self._held, []
                if not held:
                    self._held = None
                    return
            for event in held:
                self._emit(event)

    def _emit(self, event: Event) -> None:
        name = snake_case(str(event.get("type")))
        handler = self._handlers.get(name)
        if handler is not None:
            made = {snake_case(key): value for key, value in event.items()}
            made["type"] = name
            self._lane.run(lambda: handler(made))
