"""A local Target edge, and configurations for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Type

from target_sdk import TargetClient

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PACKAGES = os.pathsep.join([str(ROOT / "bindings" / "python"), str(ROOT / "bindings" / "python" / "tests")])
DATA = ROOT / "examples" / "edge" / "data"
#: For this process and those that it starts.
os.environ.setdefault("TARGET_SDK_LIBRARY", str(TARGET / "debug" / "libtarget_sdk.so"))
#: Long enough for any machine; nothing waits that long unless it has failed.
PATIENCE = 30.0

#: A call of one visitor, who sees the same each time.
HERO: Dict[str, Any] = {
    "request": {
        "id": {"tntId": "338e3c1e51f7416a8e1ccba4f81acea0.28_0"},
        "execute": {"mboxes": [{"name": "homepage-hero", "index": 0}]},
    },
    "sessionId": "s1",
}
FLAGS = "demo-engineering-flags"


class Edge:
    """Runs while the `with` block does."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Edge:
        self._process = subprocess.Popen(
            [
                str(TARGET / "debug" / "target-edge"),
                "--port",
                "0",
                "--exit-with-parent",
                "--offers",
                str(DATA / "offers.json"),
                "--artifact",
                str(DATA / "artifact.json"),
                *self._arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "http://" in line, f"the local edge did not start: {line!r}"
        self.address = line.strip().split("http://")[1]
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, method: str, path: str, body: Optional[Dict[str, Any]] = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def fault(self, name: str, **more: Any) -> None:
        self.ask("POST", "/debug/fault", {"name": name, **more})

    def no_faults(self) -> None:
        self.ask("DELETE", "/debug/fault")

    def deliveries(self) -> int:
        """How many delivery requests have arrived."""
        return int(self.ask("GET", "/debug/stats")["delivery"])

    def received(self) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = self.ask("GET", "/debug/received?path=/rest/v1/delivery")
        return found

    def config(self, **more: Any) -> Dict[str, Any]:
        """A client of this edge."""
        return {
            "client": "acme",
            "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
            "serverDomain": self.address,
            "pinServerDomain": True,
            "secure": False,
            "timeout": int(PATIENCE * 1000),
            "telemetryEnabled": False,
            **more,
        }


def on_device(**more: Any) -> Dict[str, Any]:
    """A client that decides on the device and opens no socket."""
    return {
        "client": "acme",
        "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
        "decisioningMethod": "on-device",
        "artifactPayload": json.loads((DATA / "artifact.json").read_text()),
        "pollingInterval": 0,
        "offline": True,
        "telemetryEnabled": False,
        **more,
    }


def until(condition: Callable[[], Any], what: str) -> None:
    """Waits for something that other threads or processes do."""
    end = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        pause.wait(0.005)


def python(code: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Another interpreter with the same library."""
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGES, **environment},
    )


def ended(process: "subprocess.Popen[str]") -> str:
    """Its output, once it has ended well."""
    try:
        out, err = process.communicate(timeout=PATIENCE * 2)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the program did not end\n{out}\n{err}") from None
    assert process.returncode == 0, f"status {process.returncode}\n{out}\n{err}"
    return out


def next_line(process: "subprocess.Popen[str]") -> str:
    """What a running program prints next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def idle(client: TargetClient) -> bool:
    """Whether no call is in flight, which a call that was ended is until the library's threads have let go of it."""
    return bool(client.stats()["calls"]["inFlight"] == 0)
