"""Synchronous calls: many threads, the GIL, Ctrl-C and other signals."""

from __future__ import annotations

import concurrent.futures
import gc
import json
import signal
import threading
import weakref
from typing import Any, Dict, List

import pytest

from support import HERO, PATIENCE, Edge, ended, idle, next_line, on_device, python, until
from target_sdk import TargetClient, _native, _waiter


def test_many_threads(client: TargetClient) -> None:
    def one(number: int) -> None:
        name = f"request-{number}"
        answer = client.get_offers_sync({"request": {"requestId": name, "execute": {"mboxes": [{"name": "a"}]}}})
        assert answer["response"]["requestId"] == name

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(500)))
    assert client.stats()["calls"] == {"accepted": 500, "completed": 500, "cancelled": 0, "inFlight": 0}


def test_many_threads_on_the_device() -> None:
    with TargetClient.create(on_device()) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get_offers_sync(HERO, raw=True), range(400)))
    contents = {json.dumps(json.loads(answer)["response"]["execute"]) for answer in answers}
    assert len(contents) == 1


def test_other_threads_run_while_one_waits(client: TargetClient, edge: Edge) -> None:
    """Were the GIL held, this thread could not even end the fault that the other waits for."""
    edge.fault("stall")
    outcome: List[BaseException] = []

    def wait() -> None:
        try:
            client.get_offers_sync(HERO, timeout=PATIENCE)
        except BaseException as error:
            outcome.append(error)

    before = edge.deliveries()
    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: edge.deliveries() > before, "the call at the edge")
    assert thread.is_alive()
    client.close_sync(drain=0)
    thread.join(PATIENCE)
    assert not thread.is_alive() and len(outcome) == 1


def test_callbacks_come_from_the_thread_of_this_package(client: TargetClient) -> None:
    done: "concurrent.futures.Future[Any]" = concurrent.futures.Future()
    payload = _native.payload(HERO)
    client._submit(
        _native.GET_OFFERS,
        (payload, len(payload)),
        None,
        lambda status, document: done.set_result((status, json.loads(document), threading.current_thread().name)),
    )
    status, document, name = done.result(PATIENCE)
    assert (status, document["status"], name) == (0, 200, "target-sdk")
    # A thread of the library that ran Python code would be among Python's threads, as a "Dummy".
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("target-sdk") == 1 and not [name for name in names if name.startswith("Dummy")], names


def test_a_client_that_nobody_closes_is_collected(edge: Edge) -> None:
    client = TargetClient.create(edge.config(), on_event=lambda event: None)
    library, handle, reference = client._library, client._handle, weakref.ref(client)
    assert client.get_offers_sync(HERO)["status"] == 200
    del client
    gc.collect()
    assert reference() is None
    state = _native.ffi.new("int32_t *")
    assert library.target_client_state(handle, state) == library.TARGET_E_BAD_HANDLE


PROGRAM = """if True:
    import json, signal, sys, time
    from target_sdk import TargetClient
    from support import HERO, idle, until
    config, what = json.loads(sys.argv[1]), sys.argv[2]
    client = TargetClient.create(config)
    calls = {
        "get_offers": lambda: client.get_offers_sync(HERO),
        "send_notifications": lambda: client.send_notifications_sync({"request": {"notifications": [
            {"id": "n", "type": "display", "timestamp": 1, "mbox": {"name": "a"}, "tokens": ["t"]}]}}),
        "get_attributes": lambda: client.get_attributes_sync(["a"]),
        "wait_ready": lambda: client.wait_ready_sync(60),
    }
    print("waiting", flush=True)
    try:
        calls[what]()
    except KeyboardInterrupt:
        pass
    else:
        raise SystemExit("not interrupted")
    until(lambda: idle(client), "the end of the call")
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("what", ["get_offers", "send_notifications", "get_attributes", "wait_ready"])
def test_ctrl_c(edge: Edge, what: str) -> None:
    edge.fault("stall", target="all")
    config = edge.config(timeout=60_000)
    if what == "wait_ready":
        config.update(decisioningMethod="on-device", artifactLocation=f"http://{edge.address}/acme/production/v1/rules.json")
    before = edge.ask("GET", "/debug/stats")["requests"]
    process = python(PROGRAM, json.dumps(config), what)
    until(lambda: edge.ask("GET", "/debug/stats")["requests"] > before, "the request at the edge")
    process.send_signal(signal.SIGINT)
    assert ended(process).split() == ["waiting", "interrupted"]


HANDLER = """if True:
    import json, os, signal, sys
    from target_sdk import TargetClient
    from support import HERO
    client = TargetClient.create(json.loads(sys.argv[1]))
    inner = []
    def handler(number, frame):
        inner.append(client.get_offers_sync(HERO)["status"])
        print("handled", flush=True)
    signal.signal(signal.SIGUSR1, handler)
    print("ready", flush=True)
    print("answer", client.get_offers_sync(HERO)["status"], inner, flush=True)
"""


def test_a_signal_handler_that_calls_too(edge: Edge) -> None:
    """The call that it interrupts gets its answer all the same."""
    edge.ask("POST", "/debug/fault", {"delayMs": 1000, "times": 1})
    before = edge.deliveries()
    process = python(HANDLER, json.dumps(edge.config()))
    assert next_line(process) == "ready"
    until(lambda: edge.deliveries() > before, "the request at the edge")
    process.send_signal(signal.SIGUSR1)
    assert ended(process).splitlines() == ["handled", "answer 200 [200]"]


def test_the_main_thread_waits_in_slices(client: TargetClient, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of any kind in between ends the call and leaves nothing behind."""

    class Stop(BaseException):
        pass

    edge.fault("stall")
    original, turns = _waiter.MainThreadQueue._take, 0

    def take(self: _waiter.MainThreadQueue) -> None:
        nonlocal turns
        turns += 1
        original(self)
        if turns == 2:
            raise Stop

    monkeypatch.setattr(_waiter.MainThreadQueue, "_take", take)
    with pytest.raises(Stop):
        client.get_offers_sync(HERO)
    until(lambda: idle(client), "the end of the call")
    edge.no_faults()
    assert client.get_offers_sync(HERO)["status"] == 200
    assert _waiter._main is not None and not _waiter._main._arrived


def test_which_calls_are_decided_at_once(edge: Edge) -> None:
    def stays(client: TargetClient, options: Dict[str, Any]) -> bool:
        return client._stays_here(options, _native.payload(options))

    with TargetClient.create(edge.config()) as remote:
        assert not stays(remote, HERO)
        assert stays(remote, dict(HERO, decisioningMethod="on-device"))
    with TargetClient.create(json.dumps(on_device())) as local:
        local.wait_ready_sync()
        assert stays(local, HERO) and local._stays_here(json.dumps(HERO), json.dumps(HERO).encode())
        assert not stays(local, dict(HERO, decisioningMethod="server-side"))
        assert not local._stays_here("", b'{"decisioningMethod":"hybrid"}')
        assert not stays(local, {"request": {"context": {"geo": {"ipAddress": "1.2.3.4"}}}})
