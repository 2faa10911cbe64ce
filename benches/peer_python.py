"""The same decision by Adobe's Python SDK: peer_python.py ARTIFACT.json REQUEST.json DECISIONS ROUNDS

One after the other, warm, telemetry off. Prints one line of JSON: microseconds per decision of each round, and the answer.
"""

import json
import sys
import threading
import time

from peer_python_model import model
from target_python_sdk import TargetClient


def main():
    artifact_file, request_file, decisions, rounds = sys.argv[1:]
    with open(artifact_file, encoding="utf-8") as file:
        artifact = json.load(file)
    with open(request_file, encoding="utf-8") as file:
        request = json.load(file)
    ready = threading.Event()
    client = TargetClient.create(
        {
            "client": "acme",
            "organization_id": "1234@AdobeOrg",
            "decisioning_method": "on-device",
            "artifact_payload": artifact,
            "polling_interval": 0,
            "telemetry_enabled": False,
            "server_domain": "127.0.0.1:9",
            "target_location_hint": "28",  # otherwise it asks the server for one before it is ready
            "events": {"client_ready": lambda _event: ready.set()},
        }
    )
    if not ready.wait(10):
        sys.exit("the client did not become ready")
    options = {"request": model(request), "session_id": "bench"}
    for _ in range(200):
        answer = client.get_offers(options)
    us = []
    for _ in range(int(rounds)):
        started = time.perf_counter()
        for _ in range(int(decisions)):
            answer = client.get_offers(options)
        us.append((time.perf_counter() - started) * 1e6 / int(decisions))
    content = answer["response"].prefetch.mboxes[0].options[0].content
    print(json.dumps({"us": us, "response": {"prefetch": {"mboxes": [{"options": [{"content": content}]}]}}}))


main()
