"""Events and log records, through the queue of this package's own thread."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import weakref
from typing import Any, Dict, Iterator, List

import pytest

import target_sdk
from conftest import Run
from support import HERO, PATIENCE, Edge, ended, on_device, python, until
from target_sdk import Event, TargetClient, _events, _log

FAST = {"pollingInterval": 20, "allowFastPolling": True, "decisioningMethod": "on-device"}


def types(events: List[Event]) -> List[str]:
    return [event["type"] for event in events]


def location(edge: Edge) -> Dict[str, Any]:
    return edge.config(artifactLocation=f"http://{edge.address}/acme/production/v1/rules.json", **FAST)


def test_a_function_gets_all_events(edge: Edge) -> None:
    events: List[Event] = []
    threads = set()

    def on_event(event: Event) -> None:
        threads.add(threading.current_thread().name)
        events.append(event)

    with TargetClient.create(location(edge), on_event=on_event) as client:
        client.wait_ready_sync()
        until(lambda: "artifactNotModified" in types(events), "a second download")
    until(lambda: "closed" in types(events), "the last event")
    assert "clientReady" in types(events) and "artifactDownloadSucceeded" in types(events)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    downloaded = next(event for event in events if event["type"] == "artifactDownloadSucceeded")
    assert downloaded["artifactPayload"]["version"] == "1.0.0"
    assert threads == {"target-sdk"}


def test_the_last_event_of_a_client_that_is_gone(edge: Edge) -> None:
    hold = threading.Event()
    events: List[Event] = []

    def on_event(event: Event) -> None:
        hold.wait(PATIENCE)  # until the client is gone
        events.append(event)

    client = TargetClient.create(edge.config(), on_event=on_event)
    client.close_sync()
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None
    hold.set()
    until(lambda: types(events) == ["clientReady", "draining", "closed"], "all events")
    until(lambda: not _events._closing, "nothing is kept after the last event")


def test_events_on_an_event_loop(edge: Edge, run: Run) -> None:
    async def main() -> List[str]:
        client = TargetClient.create(location(edge))
        stream = client.events()
        seen = []
        async for event in stream:
            seen.append(event["type"])
            if seen.count("artifactNotModified") == 2 and "draining" not in seen:
                await client.close()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        return seen

    assert run(main())[-1] == "closed"


def test_a_stream_may_end_early(edge: Edge, run: Run) -> None:
    async def main() -> None:
        async with TargetClient.create(location(edge)) as client:
            stream = client.events()
            waiting = asyncio.ensure_future(_all(stream))
            await stream.__anext__()
            await stream.aclose()
            await asyncio.wait_for(waiting, PATIENCE)
            dropped = weakref.ref(client.events())
            gc.collect()
            assert dropped() is None

    run(main())


async def _all(stream: target_sdk.EventStream) -> List[Event]:
    return [event async for event in stream]


def test_a_stream_of_a_loop_that_has_ended(edge: Edge) -> None:
    events: List[Event] = []
    with TargetClient.create(location(edge), on_event=events.append) as client:
        loop = asyncio.new_event_loop()

        async def subscribe() -> target_sdk.EventStream:
            return client.events()

        stream = loop.run_until_complete(subscribe())
        loop.close()
        seen = len(events)
        until(lambda: len(events) > seen + 1, "more events")
    assert stream not in client._events._streams


def test_an_exception_in_on_event(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    events: List[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if len(events) % 2:
            raise SystemExit("of the host")
        raise ArithmeticError("of the host")

    with TargetClient.create(edge.config(), on_event=on_event):
        pass
    until(lambda: "closed" in types(events), "the events after the exception")
    until(lambda: len([one for one in caplog.records if one.exc_info]) == len(events), "the exceptions in the log")


@pytest.fixture
def level() -> Iterator[None]:
    yield
    logging.getLogger("target_sdk").setLevel(logging.NOTSET)
    target_sdk.update_log_level()


def test_log_records(edge: Edge, caplog: pytest.LogCaptureFixture, level: None) -> None:
    caplog.set_level(logging.DEBUG, "target_sdk")

    def records(name: str, level: int) -> List[logging.LogRecord]:
        return [one for one in caplog.records if one.name.startswith(name) and one.levelno == level]

    with TargetClient.create(edge.config(colour=1)) as client:
        client.get_offers_sync(HERO)
        until(lambda: records("target_sdk.delivery", logging.DEBUG), "a record of the call")
        until(lambda: records("target_sdk.config", logging.WARNING), "a warning about the unknown key")
        warning = records("target_sdk.config", logging.WARNING)[0]
        assert "colour" in warning.getMessage() and abs(warning.created - caplog.records[-1].created) < 3600
        caplog.clear()
        logging.getLogger("target_sdk").setLevel(logging.ERROR)
        target_sdk.update_log_level()
        client.get_offers_sync(HERO)
        client.get_offers_sync(dict(HERO, request=dict(HERO["request"], execute={"mboxes": [{"name": ""}, {"name": "a"}]})))
        until(lambda: records("target_sdk", logging.ERROR), "the error about the mbox without a name")
        assert not records("target_sdk", logging.DEBUG)


@pytest.mark.parametrize(
    "wanted, ours",
    [(1, 5), (5, 5), (logging.DEBUG, 4), (logging.INFO, 3), (logging.WARNING, 2), (logging.ERROR, 1), (logging.CRITICAL, 0)],
)
def test_levels(wanted: int, ours: int, level: None) -> None:
    _log.LOGGER.setLevel(wanted)
    assert _log.wanted_level() == ours


def test_lost_records_are_told(caplog: pytest.LogCaptureFixture) -> None:
    record = {"ts": 1_700_000_000_123, "level": 2, "target": "target_sdk::transport", "message": "50 %s", "dropped": 7}
    _log.write(json.dumps(record).encode())
    lost, made = caplog.records
    assert lost.getMessage().startswith("7 log records")
    assert (made.getMessage(), made.name, made.created) == ("50 %s", "target_sdk.transport", 1_700_000_000.123)


def test_nothing_is_printed_unless_logging_is_set_up() -> None:
    code = """if True:
        from support import HERO, on_device
        from target_sdk import TargetClient
        with TargetClient.create(on_device(colour=1)) as client:
            client.get_offers_sync(HERO)
    """
    process = python(code)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")


def test_records_arrive_before_the_interpreter_ends() -> None:
    code = """if True:
        import logging, sys
        from support import on_device
        from target_sdk import TargetClient
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(name)s %(message)s")
        client = TargetClient.create(on_device(colour=1))
    """
    assert 'target_sdk.config unknown key "colour"' in ended(python(code))


def test_events_do_not_hold_their_client() -> None:
    class Host:
        def __init__(self) -> None:
            self.client = TargetClient.create(on_device(), on_event=self.on_event)

        def on_event(self, event: Event) -> None:
            pass

    host = Host()
    reference = weakref.ref(host)
    del host
    gc.collect()
    assert reference() is None
