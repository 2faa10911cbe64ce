"""The examples run, and print what they promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Dict, List

import pytest

from support import DATA, PACKAGES, PATIENCE, ROOT, Edge


EXAMPLES = ROOT / "examples" / "python"
PROMISES: Dict[str, List[str]] = {
    "several_mboxes": ["homepage-hero      ['<section", "no-such-mbox       default content", "sees the same"],
    "feature_flags": ["searchProviderId   143", "newCheckout        False", "the same on a loop True"],
    "many_calls": ["1000 answers in"],
    "thread_pool": ["/shoes     <section", "/broken    default content (TARGET_E_INVALID_OPTIONS at /request/execute/mboxes)"],
    "on_device": ["'layout'", "decided  on-device"],
}


def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        env={**os.environ, "PYTHONPATH": PACKAGES},
    )


def test_all_are_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} >= set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_example(edge: Edge, name: str) -> None:
    done = run(name, str(DATA / "artifact.json") if name == "on_device" else edge.address)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for promise in PROMISES[name]:
        assert promise in done.stdout, done.stdout
    assert run(name).returncode == 1 and "usage:" in run(name).stderr


def test_calls_arrive_once_each(edge: Edge) -> None:
    before = edge.deliveries()
    assert run("many_calls", edge.address).returncode == 0
    bodies = [json.loads(one["body"]) for one in edge.received()]
    visitors = [body["execute"]["mboxes"][0]["parameters"]["visitor"] for body in bodies if "execute" in body]
    assert sorted(map(int, visitors)) == list(range(1000)) and edge.deliveries() >= before + 1000
