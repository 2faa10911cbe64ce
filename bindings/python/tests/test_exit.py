"""The interpreter ends while calls are in flight: always well, always soon.

50 times; TARGET_SDK_EXITS=1000 for the long form.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import os
import time
from typing import Any, Dict

import pytest

from support import PATIENCE, Edge, ended, python

EXITS = int(os.environ.get("TARGET_SDK_EXITS", "50"))

PROGRAM = """if True:
    import asyncio, json, logging, os, sys, threading, time
    import uvloop
    from support import HERO
    from target_sdk import TargetClient, _native

    config, how, pause = json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    logging.basicConfig(level=logging.DEBUG, stream=open(os.devnull, "w"))
    events = []
    client = TargetClient.create(config, on_event=events.append)

    async def start():
        tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(64)]
        await asyncio.sleep(pause)
        return tasks

    async def leave():
        await start()
        sys.exit(0)

    def quiet(loop):
        loop.set_exception_handler(lambda loop, context: None)
        return loop

    if how in ("asyncio", "uvloop"):
        loop = quiet(asyncio.new_event_loop() if how == "asyncio" else uvloop.new_event_loop())
        tasks = loop.run_until_complete(start())
    elif how == "run":
        asyncio.run(leave())
    elif how in ("threads", "joined"):
        threads = [threading.Thread(target=client.get_offers_sync, args=(HERO,), daemon=how == "threads") for _ in range(64)]
        sys.excepthook = threading.excepthook = lambda *_: None  # calls end with an error
        for thread in threads:
            thread.start()
        time.sleep(pause)
    elif how == "callbacks":
        payload = _native.payload(HERO)
        done = []
        for _ in range(64):
            client._submit(_native.GET_OFFERS, (payload, len(payload)), None, lambda *outcome: done.append(outcome))
        time.sleep(pause)
    elif how == "loops":
        def loop():
            loop = quiet(asyncio.new_event_loop())
            loop.run_until_complete(start())
            loop.run_forever()
        for _ in range(4):
            threading.Thread(target=loop, daemon=True).start()
        time.sleep(pause)
    else:
        raise SystemExit(how)
"""

HOW = ["asyncio", "uvloop", "run", "threads", "joined", "callbacks", "loops"]


def exits(config: Dict[str, Any], how: str, pause: float) -> None:
    ended(python(PROGRAM, json.dumps(config), how, str(pause)))


def test_exits_with_64_calls_in_flight(edge: Edge) -> None:
    """Before the answers, among them, after them."""
    edge.ask("POST", "/debug/fault", {"delayMs": 5})
    cases = itertools.product(HOW, (0.0, 0.003, 0.02))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(exits, edge.config(), how, pause) for how, pause in itertools.islice(itertools.cycle(cases), EXITS)]
        for run in runs:
            run.result()


@pytest.mark.parametrize("how", [how for how in HOW if how != "joined"])
def test_exits_that_no_answer_holds_up(edge: Edge, how: str) -> None:
    """Half a second for the clients; the rest is Python's own start and end on a busy machine."""
    edge.fault("stall")
    started = time.monotonic()
    exits(edge.config(timeout=600_000), how, 0.01)
    assert time.monotonic() - started < PATIENCE


def test_many_clients_share_the_time(edge: Edge) -> None:
    code = """if True:
        import atexit, json, sys, time
        started = []
        @atexit.register   # runs after that of target_sdk, which is imported later
        def end():
            print(time.monotonic() - started[0])
        from support import HERO
        from target_sdk import TargetClient, _native
        clients = [TargetClient.create(json.loads(sys.argv[1])) for _ in range(20)]
        payload = _native.payload(HERO)
        for client in clients:
            client._submit(_native.GET_OFFERS, (payload, len(payload)), None, lambda *outcome: None)
        atexit.register(lambda: started.append(time.monotonic()))
    """
    edge.fault("stall")
    took = float(ended(python(code, json.dumps(edge.config(timeout=600_000)))))
    assert 0.2 < took < 5, took


def test_notifications_are_sent_at_the_end(edge: Edge) -> None:
    """Those of decisions on the device, by a program that never closes its client."""
    code = """if True:
        import json, sys
        from support import HERO
        from target_sdk import TargetClient
        client = TargetClient.create(json.loads(sys.argv[1]))
        client.wait_ready_sync()
        client.get_offers_sync(HERO)
    """
    location = f"http://{edge.address}/acme/production/v1/rules.json"
    ended(python(code, json.dumps(edge.config(decisioningMethod="on-device", artifactLocation=location))))
    assert any(json.loads(one["body"]).get("notifications") for one in edge.received())


def test_closing_in_an_exit_handler(edge: Edge) -> None:
    code = """if True:
        import atexit, json, sys
        from support import HERO
        from target_sdk import TargetClient
        client = TargetClient.create(json.loads(sys.argv[1]))
        client.get_offers_sync(HERO)
        atexit.register(client.close_sync)
        atexit.register(client.get_offers_sync, HERO)
        atexit.register(client.flush_sync)
    """
    ended(python(code, json.dumps(edge.config())))
