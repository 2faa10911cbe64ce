"""What a call with a callback returns: as `multiprocessing.pool.AsyncResult`, which Adobe's SDK returns."""

from __future__ import annotations

import threading
from typing import Any, Optional


class AsyncResult:
    """A call in flight. It is done when its callback has returned."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._value: Any = None
        self._error: Optional[BaseException] = None

    def get(self, timeout: Optional[float] = None) -> Any:
        """The answer, as the callback got it; raises what `err_callback` got. `TimeoutError` after `timeout` seconds."""
        if not self._done.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until the call is done, `timeout` seconds at most."""
        self._done.wait(timeout)

    def ready(self) -> bool:
        """Whether the call is done."""
        return self._done.is_set()

    def successful(self) -> bool:
        """Whether the call, which must be done, ended well."""
        if not self._done.is_set():
            raise ValueError("the call is not done")
        return self._error is None

    def _finish(self, value: Any, error: Optional[BaseException]) -> None:
        self._value, self._error = value, error
        self._done.set()
