"""Children: inherited clients say so, new ones work, the parent notices nothing."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Dict

import pytest

from support import HERO, PACKAGES, PATIENCE, Edge, ended, python
from target_sdk import TargetClient

PROGRAM = """if True:
    import asyncio, gc, json, logging, os, sys, traceback, warnings
    from support import HERO
    from target_sdk import ForkedError, TargetClient
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of forks of programs with threads
    logging.getLogger("target_sdk").setLevel(logging.DEBUG)

    config, depth = json.loads(sys.argv[1]), int(sys.argv[2])
    events = []

    def use(client):
        assert client.get_offers_sync(HERO)["status"] == 200
        assert asyncio.run(client.get_offers(HERO))["status"] == 200

    def refused(call):
        try:
            call()
        except ForkedError as error:
            assert "create a new one" in str(error), error
        else:
            raise AssertionError("an inherited client was used")

    def inherited(client):
        refused(lambda: client.get_offers_sync(HERO))
        refused(lambda: asyncio.run(client.get_offers(HERO)))
        refused(lambda: client.get_attributes_sync(["a"]))
        refused(lambda: client.state)
        refused(client.stats)
        refused(client.artifact)
        refused(client.wait_ready_sync)
        refused(client.flush_sync)
        refused(client.close_sync)

    def generation(left, old):
        client = TargetClient.create(config, on_event=events.append)
        use(client)
        for one in old:
            inherited(one)
        if left:
            child = os.fork()
            if child == 0:
                try:
                    events.clear()
                    generation(left - 1, [*old, client])
                    sys.stdout.flush()
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            use(client)
        client.close_sync()
        assert events[0]["type"] == "clientReady", events
        old.clear()
        del client
        gc.collect()

    generation(depth, [])
    print("done", flush=True)
"""


def test_fork(edge: Edge) -> None:
    assert ended(python(PROGRAM, json.dumps(edge.config()), "3")).split() == ["done"]


EXITS = """if True:
    import json, os, sys, threading, warnings
    from support import HERO
    from target_sdk import TargetClient
    warnings.simplefilter("ignore", DeprecationWarning)
    client = TargetClient.create(json.loads(sys.argv[1]))
    client.get_offers_sync(HERO)
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            if number % 2:
                new = TargetClient.create(json.loads(sys.argv[1]))
                new.get_offers_sync(HERO)
            sys.exit(0)   # with atexit: the parent's client is left alone
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    client.get_offers_sync(HERO)
    print("done")
"""


def test_children_that_exit_normally(edge: Edge) -> None:
    assert ended(python(EXITS, json.dumps(edge.config()))).split() == ["done"]


def test_fork_while_other_threads_call(edge: Edge) -> None:
    code = """if True:
        import json, os, sys, threading, traceback, warnings
        from support import HERO
        from target_sdk import TargetClient
        warnings.simplefilter("ignore", DeprecationWarning)
        config = json.loads(sys.argv[1])
        client = TargetClient.create(config)
        stop = threading.Event()
        def call():
            while not stop.is_set():
                client.get_offers_sync(HERO)
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                try:
                    assert TargetClient.create(config).get_offers_sync(HERO)["status"] == 200
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        print("done")
    """
    assert ended(python(code, json.dumps(edge.config()))).split() == ["done"]


def test_fork_inside_a_running_loop(edge: Edge) -> None:
    """The parent's calls in flight are answered, whatever the child does meanwhile."""
    code = """if True:
        import asyncio, gc, json, os, sys, traceback, warnings
        from support import HERO
        from target_sdk import TargetClient, _loops
        warnings.simplefilter("ignore", DeprecationWarning)
        config = json.loads(sys.argv[1])

        def child(client, tasks):
            assert not _loops._couriers
            new = TargetClient.create(config)
            assert new.get_offers_sync(HERO)["status"] == 200
            tasks.clear()
            del client
            gc.collect()
            new.close_sync()

        async def main():
            async with TargetClient.create(config) as client:
                await client.get_offers(HERO)
                tasks = [asyncio.ensure_future(client.get_offers(HERO)) for _ in range(64)]
                await asyncio.sleep(0)
                pid = os.fork()
                if pid == 0:
                    try:
                        child(client, tasks)
                        os._exit(0)
                    except BaseException:
                        traceback.print_exc()
                        os._exit(1)
                answers = await asyncio.gather(*tasks)
                assert [answer["status"] for answer in answers] == [200] * 64
                assert os.waitpid(pid, 0)[1] == 0
                await client.get_offers(HERO)

        asyncio.run(main())
        print("done")
    """
    assert ended(python(code, json.dumps(edge.config()))).split() == ["done"]


def worker(config: Dict[str, Any]) -> Any:
    with TargetClient.create(config) as client:
        return asyncio.run(client.get_offers(HERO))["status"], client.get_offers_sync(HERO)["status"]


def failing(config: Dict[str, Any]) -> None:
    with TargetClient.create(config) as client:
        client.get_offers_sync({})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(client: TargetClient, edge: Edge, method: str) -> None:
    assert client.get_offers_sync(HERO)["status"] == 200
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(worker, [edge.config()] * 4) == [(200, 200)] * 4
        with pytest.raises(Exception, match="Options map is required") as caught:
            pool.apply(failing, (edge.config(),))
        assert caught.type.__name__ == "InvalidOptionsError"
        pool.close()
        pool.join()
    assert client.get_offers_sync(HERO)["status"] == 200


APPLICATION = """
import json, os
from support import HERO
from target_sdk import ForkedError, TargetClient

CONFIG = json.loads(os.environ["CONFIG"])
preloaded = TargetClient.create(CONFIG)
preloaded.get_offers_sync(HERO)
PARENT = os.getpid()
client = None

def app(environ, start_response):
    global client
    try:
        preloaded.get_offers_sync(HERO)
        inherited = "works"
    except ForkedError:
        inherited = "forked"
    if client is None:
        client = TargetClient.create(CONFIG)
    answer = {"inherited": inherited, "new": client.get_offers_sync(HERO)["status"], "child": os.getpid() != PARENT}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""


def test_gunicorn_preload(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        gunicorn = ["gunicorn", "--preload", "--workers", "2", "--bind", f"fd://{fd}", "application:app"]
        process = subprocess.Popen(
            [sys.executable, "-m", *gunicorn],
            pass_fds=[fd],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": PACKAGES, "CONFIG": json.dumps(edge.config())},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            port = listener.getsockname()[1]
            for _ in range(6):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
                    assert json.load(answer) == {"inherited": "forked", "new": 200, "child": True}
        finally:
            process.terminate()
            _, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
