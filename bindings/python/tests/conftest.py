from __future__ import annotations

import asyncio
import signal
from typing import Any, Callable, Coroutine, Iterator

import pytest
import uvloop

from support import Edge
from target_sdk import TargetClient

Run = Callable[[Coroutine[Any, Any, Any]], Any]

# A shell's background job starts with SIGINT ignored, and programs inherit that: the tests of Ctrl-C would interrupt nobody.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def running_edge() -> Iterator[Edge]:
    with Edge() as edge:
        yield edge


@pytest.fixture
def edge(running_edge: Edge) -> Iterator[Edge]:
    """A local edge that behaves."""
    running_edge.no_faults()
    running_edge.ask("DELETE", "/debug/received")
    yield running_edge
    running_edge.no_faults()


@pytest.fixture
def client(edge: Edge) -> Iterator[TargetClient]:
    with TargetClient.create(edge.config()) as client:
        yield client


def _with_asyncio(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def _with_uvloop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture(params=[_with_asyncio, _with_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a new event loop of either kind."""
    runner: Run = request.param
    return runner
