"""Calls by this project's Python package.

  python_calls.py on-device ARTIFACT.json REQUEST.json DECISIONS ROUNDS
      one synchronous decision after the other, warm, telemetry off: microseconds per decision of each round, with dicts and
      with JSON text in and out, and the answer
  python_calls.py server-side HOST:PORT REQUEST.json CALLS IN_FLIGHT ROUNDS [uvloop]
      so many at a time on one event loop: calls per second, and processor time of this process per call in microseconds, of
      each round

Prints one line of JSON.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from target_sdk import TargetClient

BASE = {"client": "acme", "organizationId": "1234@AdobeOrg", "telemetryEnabled": False}


def on_device(artifact_file, request_file, decisions, rounds):
    config = {**BASE, "decisioningMethod": "on-device", "artifactPayload": json.loads(Path(artifact_file).read_text()),
              "pollingInterval": 0, "offline": True}
    options = {"request": json.loads(Path(request_file).read_text()), "sessionId": "bench"}
    text = json.dumps(options).encode()
    with TargetClient.create(config) as client:
        client.wait_ready_sync()
        us = {"dicts": [], "text": []}
        for name, call in (
            ("dicts", lambda: client.get_offers_sync(options)),
            ("text", lambda: client.get_offers_sync(text, raw=True)),
        ):
            for _ in range(200):
                call()
            for _ in range(rounds):
                started = time.perf_counter()
                for _ in range(decisions):
                    call()
                us[name].append((time.perf_counter() - started) * 1e6 / decisions)
        return {"us": us["dicts"], "textUs": us["text"], "response": client.get_offers_sync(options)["response"]}


async def server_side(server, request_file, calls, in_flight, rounds):
    config = {**BASE, "serverDomain": server, "pinServerDomain": True, "secure": False, "timeout": 30_000, "maxInFlight": in_flight}
    options = {"request": json.loads(Path(request_file).read_text()), "sessionId": "bench"}
    async with TargetClient.create(config) as client:

        async def one_after_the_other(count):
            for _ in range(count):
                await client.get_offers(options)

        async def run(count):
            await asyncio.gather(*(one_after_the_other(count // in_flight) for _ in range(in_flight)))
            return count // in_flight * in_flight

        await run(4 * in_flight)
        found = []
        for _ in range(rounds):
            before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            count = await run(calls)
            took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
            busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found.append({"callsPerSecond": count / took, "processorUs": busy * 1e6 / count})
        return found


def main():
    what, one, two, three, four, *more = sys.argv[1:]
    if what == "on-device":
        print(json.dumps(on_device(one, two, int(three), int(four))))
        return
    rounds, *loop = more
    if loop == ["uvloop"]:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(json.dumps(asyncio.run(server_side(one, two, int(three), int(four), int(rounds)))))


main()
