"""Nothing is left of calls, clients and loops: handles, Python objects, memory."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import tracemalloc
from typing import Callable, List, Tuple

import pytest

from support import FLAGS, HERO, Edge, on_device
from target_sdk import TargetClient, TargetError


def resident_kib() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def slopes(work: Callable[[], None], rounds: int) -> Tuple[int, int]:
    """What a round of work adds to Python's memory (bytes) and to the process (KiB), once everything is warm.

    The least of several rounds: what leaks grows in each, what is cached or freed late does not.
    """
    for _ in range(2):
        work()
    python: List[int] = []
    process: List[int] = []
    tracemalloc.start()
    try:
        work()
        for _ in range(rounds):
            gc.collect()
            before, resident = tracemalloc.get_traced_memory()[0], resident_kib()
            work()
            gc.collect()
            python.append(tracemalloc.get_traced_memory()[0] - before)
            process.append(resident_kib() - resident)
    finally:
        tracemalloc.stop()
    return min(python), min(process)


def calls(client: TargetClient, run_loop: bool) -> Callable[[], None]:
    async def several() -> None:
        for _ in range(20):
            await asyncio.gather(*(client.get_offers(HERO) for _ in range(10)))
        await asyncio.gather(*(client.get_attributes([FLAGS]) for _ in range(10)))
        failing = [client.get_offers({}) for _ in range(10)]
        assert all(isinstance(one, TargetError) for one in await asyncio.gather(*failing, return_exceptions=True))
        tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def waiting() -> None:
        for _ in range(200):
            client.get_offers_sync(HERO)
            client.get_attributes_sync([FLAGS])
        for _ in range(20):
            with pytest.raises(TargetError):
                client.get_offers_sync({})

    return (lambda: asyncio.run(several())) if run_loop else waiting


@pytest.mark.parametrize("run_loop", [True, False], ids=["asyncio", "sync"])
@pytest.mark.parametrize("local", [True, False], ids=["on-device", "server-side"])
def test_calls_leave_nothing(edge: Edge, local: bool, run_loop: bool) -> None:
    with TargetClient.create(on_device() if local else edge.config()) as client:
        python, process = slopes(calls(client, run_loop), 4)
    assert python < 2_000 and process < 512, (python, process)


def test_clients_leave_nothing() -> None:
    config = on_device()

    def live() -> None:
        for number in range(5):
            client = TargetClient.create(config, on_event=lambda event: None)
            client.get_offers_sync(HERO)
            if number % 2:
                client.close_sync(drain=0)

    python, process = slopes(live, 4)
    assert python < 2_000 and process < 1024, (python, process)


def test_descriptors_are_given_back(client: TargetClient) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    asyncio.run(client.get_offers(HERO))
    gc.collect()
    before = count()
    for _ in range(30):
        asyncio.run(client.get_offers(HERO))
    gc.collect()
    assert count() <= before + 1, "the queue of the last loop may be there still"
