"""The decision cases that Adobe's SDKs share, end to end: artifact and notifications over HTTP, the clock frozen from outside."""

from __future__ import annotations

import calendar
import concurrent.futures
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from support import PATIENCE, ROOT, Edge, python

DATA = Path(os.environ.get("TARGET_SDK_SHARED", ROOT.parent / "shared")) / "conformance"
TYPES: Dict[str, Any] = {"expect.any(Object)": dict, "expect.any(String)": str, "expect.any(Number)": (int, float)}


def differences(expected: Any, actual: Any, path: str = "") -> List[str]:
    """Where `expected` is no subset of `actual`."""
    if isinstance(expected, str) and expected in TYPES:
        return [] if isinstance(actual, TYPES[expected]) else [f"{path}: {expected} does not match {actual!r}"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [one for key in expected for one in differences(expected[key], actual.get(key), f"{path}/{key}")]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual))
        return [one for at, (left, right) in pairs for one in differences(left, right, f"{path}/{at}")]
    same = expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
    return [] if same else [f"{path}: expected {expected!r}, got {actual!r}"]


def frozen_ms(date: Dict[str, int]) -> int:
    parts = (date["year"], date["month"] + 1, date["date"], date.get("hours", 0), date.get("minutes", 0), date.get("seconds", 0))
    return calendar.timegm(parts) * 1000


class Geo:
    """Answers each geo look-up with the case's own document."""

    def __init__(self, answer: Any) -> None:
        body = json.dumps(answer).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/v1/geo" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def cases() -> Iterator[Tuple[str, Dict[str, Any], Dict[str, Any]]]:
    for path in sorted((DATA / "suites").glob("*.json")):
        suite = json.loads(path.read_text(encoding="utf-8"))
        for name, case in suite["test"].items():
            yield f"{path.stem}/{name}", suite, case


def clock(folder: Path) -> Path:
    """The library that freezes the wall clock."""
    library = folder / "frozen_clock.so"
    source = ROOT / "tests" / "e2e" / "frozen_clock.c"
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is needed to freeze the clock"
    subprocess.run([compiler, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    return library


def run_case(suite: Dict[str, Any], case: Dict[str, Any], library: Path, folder: Path) -> List[str]:
    artifact = DATA / "artifacts" / f"{case.get('artifact', suite.get('artifact'))}.json"
    with Edge("--artifact", str(artifact)) as edge:
        geo = Geo(case.get("mockGeo", {}))
        try:
            config = dict(case.get("conf", suite.get("conf", {})))
            config.update(
                decisioningMethod="on-device",
                serverDomain=edge.address,
                pinServerDomain=True,
                secure=False,
                cdnBasePath=f"http://{geo.address}",
                artifactLocation=f"http://{edge.address}/{config.get('client')}/production/v1/rules.json",
            )
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
            (folder / "options.json").write_text(json.dumps(case["input"]), encoding="utf-8")
            environment = {}
            if "mockDate" in case:
                environment = {"LD_PRELOAD": str(library), "FROZEN_MS": str(frozen_ms(case["mockDate"]))}
            program = (Path(__file__).parent / "decide.py").read_text(encoding="utf-8")
            process = python(program, str(folder / "config.json"), str(folder / "options.json"), **environment)
            out, err = process.communicate(timeout=PATIENCE)
            if process.returncode != 0:
                return [f"status {process.returncode}: {out}{err}"]
            found = differences(case.get("output", {}), json.loads(out)["response"])
            if "notificationOutput" in case:
                found += notification_differences(case["notificationOutput"], [json.loads(one["body"]) for one in edge.received()])
            return found
        finally:
            geo.stop()


def notification_differences(expected: Any, sent: List[Dict[str, Any]]) -> List[str]:
    if expected is None:
        told = [body for body in sent if "notifications" in body]
        return [f"nothing may be sent, but {told} was"] if told else []
    attempts = [differences(expected["request"], body, "/request") for body in sent]
    return [] if any(not one for one in attempts) else [f"no request is {expected}: {attempts}"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no conformance data at {DATA}")
def test_adobes_cases(tmp_path: Path) -> None:
    library = clock(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {
            name: pool.submit(run_case, suite, case, library, tmp_path / str(number))
            for number, (name, suite, case) in enumerate(cases())
        }
    failures = {name: found for name, found in ((name, run.result()) for name, run in runs.items()) if found}
    assert not failures, json.dumps(failures, indent=2)
    assert len(runs) >= 39
    print(f"conformance through the Python package: {len(runs)} passed")


def test_what_a_subset_is() -> None:
    assert not differences({"a": [1, {"b": "expect.any(Number)"}]}, {"a": [1.0, {"b": 2, "c": 3}], "d": 4})
    assert differences({"a": [1]}, {"a": [1, 2]}) and differences({"a": True}, {"a": 1}) and differences({"a": 1}, {})
