"""Records of the library as records of Python's `logging`, under the logger `target_sdk`."""

from __future__ import annotations

import logging

from ._native import loads

LOGGER = logging.getLogger("target_sdk")
#: The library's finest level; `logging` has no name for it.
TRACE = 5

_TO_PYTHON = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG, 5: TRACE}


def wanted_level() -> int:
    """The library's level (0 none to 5 everything) that fits the level of the logger."""
    wanted = LOGGER.getEffectiveLevel()
    return max((ours for ours, theirs in _TO_PYTHON.items() if theirs >= wanted), default=0)


def write(document: bytes) -> None:
    record = loads(str(document, "utf-8"))
    # target_sdk::transport is target_sdk.transport here.
    logger = logging.getLogger(record["target"].replace("::", "."))
    level = _TO_PYTHON.get(record["level"], logging.ERROR)
    if "dropped" in record:
        LOGGER.warning("%d log records were lost before the next one", record["dropped"])
    if logger.isEnabledFor(level):
        made = logger.makeRecord(logger.name, level, "target_sdk", 0, record["message"], (), None)
        made.created = record["ts"] / 1000
        made.msecs = record["ts"] % 1000
        logger.handle(made)


# A library is silent unless its host sets up logging.
LOGGER.addHandler(logging.NullHandler())
