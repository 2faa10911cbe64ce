"""Event loops: many calls at once, cancellation, several loops with one client, loops that end too early."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any, List

import pytest

from conftest import Run
from support import FLAGS, HERO, PATIENCE, Edge, idle, on_device, until
from target_sdk import ClosedError, TargetClient, TargetError, _loops


async def arrival(edge: Edge, count: int) -> None:
    """Until so many delivery requests are at the edge."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, until, lambda: edge.deliveries() >= count, "requests at the edge")


def test_many_at_once(client: TargetClient, run: Run) -> None:
    """More than one wake-up takes, each with its own answer."""

    async def one(number: int) -> None:
        mbox = {"name": "homepage-hero", "index": 0, "parameters": {"number": str(number)}}
        request = {"requestId": f"request-{number}", "execute": {"mboxes": [mbox]}}
        answer = await client.get_offers({"request": request})
        assert answer["request"]["requestId"] == answer["response"]["requestId"] == f"request-{number}"

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(1000)))

    run(main())
    assert client.stats()["calls"] == {"accepted": 1000, "completed": 1000, "cancelled": 0, "inFlight": 0}


def test_one_wake_up_takes_many_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wake_ups: List[int] = []
    original = _loops.Courier._take

    def take(self: _loops.Courier) -> None:
        before = len(self._pending)
        original(self)
        wake_ups.append(before - len(self._pending))

    monkeypatch.setattr(_loops.Courier, "_take", take)

    async def main() -> None:
        async with TargetClient.create(on_device(maxInFlight=1000)) as client:
            await client.wait_ready()
            tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(600)]
            await asyncio.sleep(0)  # all are submitted
            until(lambda: client.stats()["operations"]["on-device"]["succeeded"] == 600, "the answers")
            await asyncio.gather(*tasks)

    run(main())
    assert sum(wake_ups) == 600 and max(wake_ups) == 256, wake_ups


def test_a_failed_call_does_not_disturb_others(client: TargetClient, run: Run) -> None:
    async def main() -> List[Any]:
        calls = [client.get_offers(HERO if number % 2 else {}) for number in range(100)]
        outcomes: List[Any] = await asyncio.gather(*calls, return_exceptions=True)
        return outcomes

    outcomes = run(main())
    assert all(isinstance(outcome, TargetError) for outcome in outcomes[::2])
    assert all(outcome["status"] == 200 for outcome in outcomes[1::2])


def test_cancelling_a_task_ends_its_call(client: TargetClient, edge: Edge, run: Run) -> None:
    async def main() -> None:
        edge.fault("stall")
        before = edge.deliveries()
        tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(8)]
        await arrival(edge, before + 8)
        assert client.stats()["calls"]["inFlight"] == 8
        for task in tasks[:4]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks[:4], return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        until(lambda: client.stats()["calls"]["inFlight"] == 4, "the end of four calls")
        for task in tasks[4:]:
            task.cancel()
        await asyncio.gather(*tasks[4:], return_exceptions=True)
        edge.no_faults()
        assert (await client.get_offers(HERO))["status"] == 200

    run(main())
    until(lambda: idle(client), "the end of all calls")
    calls = client.stats()["calls"]
    assert (calls["accepted"], calls["completed"], calls["cancelled"]) == (9, 1, 8)


def test_cancelling_when_the_answer_is_there(client: TargetClient, run: Run) -> None:
    """Whatever the loop sees first: no answer is lost or given to another call."""

    async def main() -> None:
        for turns in range(200):
            task = asyncio.ensure_future(client.get_offers(HERO))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await client.get_offers(HERO))["status"] == 200
        until(lambda: idle(client), "the end of all calls")

    run(main())


def test_several_loops_with_one_client(client: TargetClient, run: Run) -> None:
    failures: List[BaseException] = []

    async def main(number: int) -> None:
        async def one(call: int) -> None:
            name = f"request-{number}-{call}"
            answer = await client.get_offers({"request": {"requestId": name, "execute": {"mboxes": [{"name": "a"}]}}})
            assert answer["response"]["requestId"] == name

        for _ in range(5):
            await asyncio.gather(*(one(call) for call in range(20)))

    def loop(number: int) -> None:
        try:
            run(main(number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not failures, failures


def test_one_loop_after_the_other(client: TargetClient, run: Run) -> None:
    """The queues of loops that have ended are given back."""
    for _ in range(20):
        assert run(client.get_offers(HERO))["status"] == 200
    gc.collect()
    assert len([loop for loop in _loops._couriers if loop.is_closed()]) <= 1


def test_a_loop_and_its_queue_are_collected(client: TargetClient) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(client.get_offers(HERO))
    courier = weakref.ref(_loops._couriers[loop]())
    loop.close()
    del loop
    gc.collect()
    assert courier() is None


def test_a_loop_that_ends_with_calls_in_flight(client: TargetClient, edge: Edge) -> None:
    edge.fault("stall")
    loop = asyncio.new_event_loop()

    async def start() -> List["asyncio.Task[Any]"]:
        before = edge.deliveries()
        tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(16)]
        await arrival(edge, before + 16)
        return tasks

    tasks = loop.run_until_complete(start())
    assert client.stats()["calls"]["inFlight"] == 16
    loop.set_exception_handler(lambda loop, context: None)  # "Task was destroyed but it is pending!"
    loop.close()
    edge.no_faults()
    del loop, tasks
    gc.collect()
    assert asyncio.run(client.get_offers(HERO))["status"] == 200
    until(lambda: idle(client), "the end of all calls")


def test_closing_with_calls_in_flight(edge: Edge, run: Run) -> None:
    async def main() -> None:
        edge.fault("stall")
        before = edge.deliveries()
        async with TargetClient.create(edge.config()) as client:
            tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(8)]
            await arrival(edge, before + 8)
            assert (await client.close(drain=0))["cancelled"] == 8
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, TargetError) for outcome in outcomes), outcomes
            assert {getattr(outcome, "name") for outcome in outcomes} <= {"TARGET_E_CANCELLED", "TARGET_E_CLOSED"}
            with pytest.raises(ClosedError):
                await client.get_offers(HERO)

    run(main())


def test_the_loop_runs_on_while_the_client_waits(edge: Edge, run: Run) -> None:
    async def main() -> None:
        edge.fault("stall", target="artifact")
        location = f"http://{edge.address}/acme/production/v1/rules.json"
        client = TargetClient.create(edge.config(decisioningMethod="on-device", artifactLocation=location))
        waiting = asyncio.ensure_future(client.wait_ready(PATIENCE))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client.close(drain=0)

    run(main())


def test_decisions_on_the_device(run: Run) -> None:
    async def main() -> None:
        async with TargetClient.create(on_device()) as client:
            found = await asyncio.gather(*(client.get_attributes([FLAGS]) for _ in range(300)))
            assert all(attributes[FLAGS]["searchProviderId"] == 143 for attributes in found)

    run(main())


def test_synchronous_calls_inside_a_coroutine(client: TargetClient, run: Run) -> None:
    async def main() -> None:
        answers = [await client.get_offers(HERO), client.get_offers_sync(HERO)]
        assert answers[0]["response"]["execute"] == answers[1]["response"]["execute"]

    run(main())


def test_a_loop_that_cannot_watch(client: TargetClient) -> None:
    class Blind(asyncio.SelectorEventLoop):
        def add_reader(self, *arguments: Any) -> None:  # type: ignore[override]
            raise NotImplementedError

    loop = Blind()
    with pytest.raises(RuntimeError, match="add_reader"):
        loop.run_until_complete(client.get_offers(HERO))
    loop.close()
