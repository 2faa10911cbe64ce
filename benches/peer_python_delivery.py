"""Server-side calls by Adobe's Python SDK: peer_python_delivery.py HOST:PORT REQUEST.json CALLS THREADS,...

Its calls wait, so they are made by pools of threads; of several sizes the best counts. Telemetry off. Prints one line of
JSON: calls per second and processor time of this process per call in microseconds, for each size.
"""

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import target_python_sdk.target
from peer_python_model import model
from target_python_sdk import TargetClient


def main():
    server, request_file, calls, sizes = sys.argv[1:]
    with open(request_file, encoding="utf-8") as file:
        request = model(json.load(file))
    # It would leave for the edge cluster of the first answer, which is a host of Adobe.
    target_python_sdk.target.get_target_host = lambda *_: f"http://{server}"
    client = TargetClient.create(
        {"client": "acme", "organization_id": "1234@AdobeOrg", "telemetry_enabled": False, "secure": False, "timeout": 30_000}
    )

    def call(_):
        return client.get_offers({"request": request, "session_id": "bench"})["response"].status

    found = {}
    for size in map(int, sizes.split(",")):
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(call, range(2 * size)))
            before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            statuses = set(pool.map(call, range(int(calls))))
            took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        if statuses != {200}:
            sys.exit(f"it answered {statuses}")
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[size] = {"callsPerSecond": int(calls) / took, "processorUs": busy * 1e6 / int(calls)}
    print(json.dumps(found))


main()
