"""The Python package beside Adobe's Python SDK."""

import json
import os
import statistics
import subprocess
import sys

import artifact
import peers

ROOT = peers.BENCHES.parent
SIZES = "1,2,4,8,16,32,64"


def _install(scratch):
    """An interpreter with what the Python package needs."""
    folder = scratch / "python-package"
    interpreter = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "cffi", "uvloop"], check=True)
        (folder / "installed").touch()
    return interpreter


def _run(command, **environment):
    """A program whose last line is JSON."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _content(response):
    return response["prefetch"]["mboxes"][0]["options"][0]["content"]


def beside_adobes(table, rounds, server, scratch, library):
    adobes, ours = peers.install_python(scratch), _install(scratch)
    environment = {"PYTHONPATH": str(ROOT / "bindings" / "python"), "TARGET_SDK_LIBRARY": str(library)}
    program = peers.BENCHES / "python_calls.py"
    artifact_file, request_file = scratch / "python-artifact.json", scratch / "python-request.json"
    artifact_file.write_text(json.dumps(artifact.artifact(0)), encoding="utf-8")
    request_file.write_text(json.dumps(artifact.REQUEST), encoding="utf-8")

    dicts, text, theirs = [], [], []
    for _ in range(rounds):
        us = _run([ours, program, "on-device", artifact_file, request_file, 50, 400], **environment)
        them = peers.decide_python(adobes, artifact_file, request_file)
        if _content(us["response"]) != _content(them["response"]):
            sys.exit("the SDKs decided differently")
        dicts.append(min(us["us"]))
        text.append(min(us["textUs"]))
        theirs.append(them["us"])
    us, raw, them = map(statistics.median, (dicts, text, theirs))
    table.add("on-device decision, Python package, dicts in and out", us, "µs")
    table.add("  JSON text in and out", raw, "µs")
    table.add(f"  Adobe's Python SDK {peers.PYTHON_VERSION}", them, "µs")
    table.add("  times as fast as Adobe's", them / us, "x", 60, at_least=True)

    def ours_at(*loop):
        command = [ours, program, "server-side", server, request_file, 2_560, 256, len(SIZES.split(",")), *loop]
        return _run(command, **environment)

    def speed(runs):
        return max(one["callsPerSecond"] for one in runs)

    # As many runs of this package as there are sizes of thread pools, and the best run of each.
    ratios, speeds, uvloops, best, processor = [], [], [], [], []
    for _ in range(rounds):
        swept = _run([adobes, peers.BENCHES / "peer_python_delivery.py", server, request_file, 300, SIZES])
        us = ours_at()
        speeds.append(speed(us))
        uvloops.append(speed(ours_at("uvloop")))
        best.append((speed(swept.values()), max(swept, key=lambda size: swept[size]["callsPerSecond"])))
        ratios.append(speeds[-1] / best[-1][0])
        processor.append(min(one["processorUs"] for one in swept.values()) / min(one["processorUs"] for one in us))
    table.add("server-side calls per second, Python, asyncio, 256 in flight", statistics.median(speeds), "1/s")
    table.add("  uvloop", statistics.median(uvloops), "1/s")
    theirs, size = sorted(best)[len(best) // 2]
    table.add(f"  Adobe's Python SDK {peers.PYTHON_VERSION}, its best", theirs, "1/s", note=f"{size} thread{'' if size == 1 else 's'}, of {SIZES}")
    table.add("  times as many as Adobe's", statistics.median(ratios), "x", 5, at_least=True,
              note=f"{statistics.median(processor):.1f} x by processor time, the library's threads included")
