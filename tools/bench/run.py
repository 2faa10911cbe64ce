#!/usr/bin/env python3
"""All benchmarks of the project, side by side in one run: tools/bench/run.py [--only ROW,...] [--rounds N]

Builds the library, installs Adobe's Node and Python SDKs under target/bench, measures, prints one table and writes
target/bench/results.json. Needs cargo, compilers for C and C++, node with npm, python3 with venv, nginx and (for two rows) valgrind.
Ends with status 1 if a figure misses its target and --strict is given.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import artifact
import peers
import python
from nginx import Nginx

ROOT = Path(__file__).resolve().parents[2]
# Where cargo puts what it builds, as cargo itself decides it.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
SCRATCH = TARGET / "bench"
LIBRARY = TARGET / "release"

BASE = {"client": "acme", "organizationId": "1234@AdobeOrg", "telemetryEnabled": False, "secure": False}
ON_DEVICE = dict(BASE, decisioningMethod="on-device", pollingInterval=0)


class Table:
    """The rows: what was measured, the figure, and the target with whether it was met."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, unit, limit=None, at_least=False, note=""):
        met = None if limit is None else (value >= limit if at_least else value <= limit)
        target = None if limit is None else {"atLeast" if at_least else "atMost": limit}
        self.rows.append({"what": what, "value": value, "unit": unit, "target": target, "met": met, "note": note})
        print(self.line(self.rows[-1]), file=sys.stderr, flush=True)

    @staticmethod
    def line(row, width=62):
        target, mark = "", ""
        if row["target"]:
            (kind, limit), = row["target"].items()
            target = f"{'≥' if kind == 'atLeast' else '≤'} {number(limit)}"
            mark = "yes" if row["met"] else "NO"
        return f"{row['what']:<{width}} {number(row['value']):>10} {row['unit']:<12} {target:<9} {mark:<4} {row['note']}".rstrip()

    def text(self):
        head = f"{'':<62} {'measured':>10} {'':<12} {'target':<9} met"
        return "\n".join([head] + [self.line(row) for row in self.rows])


def number(value):
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def run(command, **options):
    """Runs a program of the benchmark; its last line of output is JSON."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(name, value):
    path = SCRATCH / name
    path.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
    return path


def build():
    """The library, the C programs and the Rust ones; returns the paths of the Rust ones."""
    subprocess.run(["cargo", "build", "--release", "-p", "target-sdk"], cwd=ROOT, check=True)
    # Programs look for the library by its soname.
    soname = LIBRARY / "libtarget_sdk.so.0"
    if not soname.exists():
        soname.symlink_to("libtarget_sdk.so")
    benches = ["bare_reqwest", "compile"]
    command = ["cargo", "bench", "-p", "target-sdk-core", "--no-run", "--message-format=json"]
    for bench in benches:
        command += ["--bench", bench]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {}
    for line in built.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] in benches:
            found[message["target"]["name"]] = message["executable"]
    for program in ("on_device", "delivery", "hand_off", "idle"):
        subprocess.run(
            [os.environ.get("CC", "cc"), "-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
             f"-I{ROOT / 'include'}", str(ROOT / "benches" / f"{program}.c"), "-o", str(SCRATCH / program),
             f"-L{LIBRARY}", "-ltarget_sdk", "-lpthread", f"-Wl,-rpath,{LIBRARY}"],
            check=True)
    subprocess.run(
        [os.environ.get("CXX", "c++"), "-O2", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}",
         str(ROOT / "benches" / "on_device.cpp"), "-o", str(SCRATCH / "on_device_cpp"),
         f"-L{LIBRARY}", "-ltarget_sdk", "-lpthread", f"-Wl,-rpath,{LIBRARY}"],
        check=True)
    return found


def content(response):
    """What the visitor sees: it must be the same for everyone who is compared."""
    return response["prefetch"]["mboxes"][0]["options"][0]["content"]


def decide(config, options, threads=1):
    """The best of many short rounds: what others do on the machine in the meantime is no part of the figure."""
    answer = run([SCRATCH / "on_device", config, options, 2_000, threads, 100])
    return {"us": min(answer["us"]), "processorUs": min(answer["processorUs"]), "response": answer["envelope"]["response"]}


def beside_peers(table, rounds):
    """One decision after the other: this library, the Node SDK and the Python SDK in turns."""
    node, python = peers.install(SCRATCH)
    without_url = json.loads(json.dumps(artifact.REQUEST))
    del without_url["context"]["address"]
    # Much of what Node takes is the public suffix of the page's host; without a URL the comparison is of the rest.
    for name, request in (("", artifact.REQUEST), (", no URL", without_url)):
        slug = "no-url" if name else "url"
        payload = artifact.artifact(0, by_page=not name)
        artifact_file = write(f"artifact-{slug}.json", payload)
        config = write(f"on-device-{slug}.json", dict(ON_DEVICE, artifactPayload=payload))
        request_file = write(f"request-{slug}.json", request)
        options = write(f"options-{slug}.json", {"request": request, "sessionId": "bench"})
        ours, nodes, pythons = [], [], []
        for _ in range(rounds):
            answers = [decide(config, options), node(artifact_file, request_file), python(artifact_file, request_file)]
            for figures, answer in zip((ours, nodes, pythons), answers):
                figures.append(answer["us"])
            contents = {content(answer["response"]) for answer in answers}
            if len(contents) != 1:
                sys.exit(f"the SDKs decided differently: {contents}")
        us, node_us, python_us = map(statistics.median, (ours, nodes, pythons))
        table.add(f"on-device decision, 1 thread, C API{name}", us, "µs")
        table.add(f"  Adobe's Node SDK {peers.NODE_VERSION}{name}", node_us, "µs")
        table.add(f"  Adobe's Python SDK {peers.PYTHON_VERSION}{name}", python_us, "µs")
        limits = (40, 120) if not name else (None, None)
        table.add(f"  times as fast as Node{name}", node_us / us, "x", limits[0], at_least=True)
        table.add(f"  times as fast as Python{name}", python_us / us, "x", limits[1], at_least=True)


def telemetry(table, rounds, server):
    """The same decision with telemetry on, sent in the background to a server in this machine."""
    options = write("options-url.json", {"request": artifact.REQUEST, "sessionId": "bench"})
    payload = artifact.artifact(0)
    quiet = write("on-device.json", dict(ON_DEVICE, artifactPayload=payload))
    loud = write("telemetry.json", dict(ON_DEVICE, artifactPayload=payload, telemetryEnabled=True,
                                        serverDomain=server, pinServerDomain=True))
    off, on = [], []
    for _ in range(rounds):
        off.append(decide(quiet, options)["us"])
        on.append(decide(loud, options)["us"])
    table.add("on-device decision, telemetry on", statistics.median(on), "µs",
              note=f"{statistics.median(off):.2f} µs off in the same rounds")


def threads(table, rounds):
    """Decisions per second with two threads over those with one."""
    options = write("options-url.json", {"request": artifact.REQUEST, "sessionId": "bench"})
    config = write("on-device.json", dict(ON_DEVICE, artifactPayload=artifact.artifact(0)))
    clock, processor = [], []
    for _ in range(rounds):
        one, two = (decide(config, options, count) for count in (1, 2))
        clock.append(one["us"] / two["us"])
        processor.append(2 * one["processorUs"] / two["processorUs"])
    table.add("decisions per second, 2 threads over 1", statistics.median(clock), "x", 1.8, at_least=True,
              note=f"{statistics.median(processor):.2f} by processor time")


def instructions(command):
    """Instructions of one decision: the difference between runs that differ only in how many they make.

    `command` gives the command line for a number of decisions.
    """
    counts = []
    for decisions in (1_000, 2_000):
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"] + [str(part) for part in command(decisions)],
            capture_output=True, text=True, timeout=600, check=True)
        line = next(line for line in done.stderr.splitlines() if "Collected :" in line)
        counts.append(int(line.split(":")[1].split()[0]))
    return (counts[1] - counts[0]) / 1_000


def decision_instructions(config, options):
    """Instructions of one decision through the C interface."""
    command = lambda decisions: [SCRATCH / "on_device", config, options, decisions, 1, 1]
    return instructions(command) / 1.1  # it makes a tenth more to warm up


def cpp(table):
    """What the C++ header adds to the C interface: the same decisions in the same program, through the one and the other."""
    options = write("options-url.json", {"request": artifact.REQUEST, "sessionId": "bench"})
    config = write("on-device.json", dict(ON_DEVICE, artifactPayload=artifact.artifact(0)))
    program = SCRATCH / "on_device_cpp"
    through_cpp = instructions(lambda decisions: [program, config, options, decisions])
    through_c = instructions(lambda decisions: [program, config, options, decisions, "c"])
    table.add("on-device decision, C++ over C, instructions", through_cpp / through_c, "x", 1.05,
              note=f"{through_cpp:,.0f} and {through_c:,.0f}")


def activities(table, rounds):
    """Whether activities for other mboxes cost anything."""
    options = write("options-url.json", {"request": artifact.REQUEST, "sessionId": "bench"})
    few, many = (write(f"activities-{n}.json", dict(ON_DEVICE, artifactPayload=artifact.artifact(n))) for n in (10, 10_000))
    ratios = []
    for _ in range(rounds):
        times = [decide(config, options)["processorUs"] for config in (few, many)]
        ratios.append(times[1] / times[0])
    table.add("cost of a decision, 10,000 activities elsewhere over 10", statistics.median(ratios), "x", 1.1, note="processor time")
    counts = [decision_instructions(config, options) for config in (few, many)]
    table.add("  the same in instructions", counts[1] / counts[0], "x", 1.1, note=f"{counts[0]:,.0f} and {counts[1]:,.0f}")


def compiling(table, program):
    """An artifact of 10 MB with 10,000 rules."""
    # Two rules per activity; the padding makes up the size.
    path = write("large.json", artifact.artifact(4_999, padding=80))
    result = run([program, path])
    table.add("compile 10,000 rules", min(result["ms"]), "ms", 200,
              note=f"{result['bytes'] / 1e6:.1f} MB of JSON; best of {len(result['ms'])}, median {statistics.median(result['ms']):.0f} ms")
    table.add("  memory held over size of the text", result["held"] / result["bytes"], "x", 3)
    table.add("  with the text, which is kept", 1 + result["held"] / result["bytes"], "x", 3)
    table.add("  most while compiling, with the text", 1 + result["peak"] / result["bytes"], "x")


def delivery(table, rounds, server, bare):
    """Server-side calls, 64 in flight, and what the HTTP client alone can do."""
    calls, ours, bares = 60_000, [], []
    for _ in range(rounds):
        bares.append(run([bare, f"http://{server}/rest/v1/delivery", calls, 64])["callsPerSecond"])
        ours.append(run([SCRATCH / "delivery", server, calls, 64]))
    failed = sum(one["failed"] for one in ours)
    if failed:
        sys.exit(f"{failed} calls failed")
    per_second, bare_per_second = (statistics.median(one["callsPerSecond"] for one in ours), statistics.median(bares))
    table.add("server-side calls per second, 1 C thread, 64 in flight", per_second, "1/s", 20_000, at_least=True)
    table.add("  bare reqwest", bare_per_second, "1/s")
    table.add("  over bare reqwest", 100 * per_second / bare_per_second, "%", 85, at_least=True)
    table.add("  submit", statistics.median(one["submitUs"] for one in ours), "µs", 15)
    hand_off(table, rounds)


def hand_off(table, rounds):
    """From submit to callback: on one core what the library takes, to an idle core mostly what the machine takes to wake it."""
    runs = [run([SCRATCH / "hand_off"]) for _ in range(rounds)]
    for placement, name, target in (("oneCore", "  hand-off, one core", 30), ("twoCores", "  hand-off, to an idle core", None)):
        median = {key: statistics.median(one[placement][key] for one in runs) for key in runs[0][placement]}
        table.add(name, median["callback"], "µs", target,
                  note=f"submit to callback, one thread is woken; this machine's own wake-up {number(median['wakeUp'])}")
        table.add("    through an I/O thread", median["io"], "µs", note="two are woken, one after the other")


def size_and_idle(table, server):
    """The file, and what a client costs that does nothing."""
    library = (LIBRARY / "libtarget_sdk.so").stat().st_size
    table.add("stripped library", library / 2**20, "MiB", 6)
    options = write("options-url.json", {"request": artifact.REQUEST, "sessionId": "bench"})
    remote = write("server-side.json", dict(BASE, serverDomain=server, pinServerDomain=True, telemetryEnabled=True))
    local = write("on-device-idle.json", dict(ON_DEVICE, artifactPayload=artifact.artifact(0), serverDomain=server, pinServerDomain=True))
    for name, config in (("server-side", remote), ("on-device", local)):
        result = run([SCRATCH / "idle", config, options, 10])
        table.add(f"idle client after one call, {name}: memory added", result["rssKiB"] / 1024, "MiB", 8,
                  note=f"{result['ownKiB'] / 1024:.2f} MiB its own, the rest pages of the library")
        table.add("  wake-ups in 10 s", result["wakeUps"], "", 0, note=f"{result['threads']} threads")


def main():
    rows = ["peers", "cpp", "telemetry", "threads", "activities", "compile", "delivery", "idle", "python"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(rows), help="some of " + ",".join(rows))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    SCRATCH.mkdir(parents=True, exist_ok=True)
    programs = build()
    load = [os.getloadavg()[0]]
    table = Table()
    with Nginx(SCRATCH / "nginx") as nginx:
        server = f"127.0.0.1:{nginx.port}"
        if "peers" in only:
            beside_peers(table, arguments.rounds)
        if "cpp" in only:
            cpp(table)
        if "telemetry" in only:
            telemetry(table, arguments.rounds, server)
        if "threads" in only:
            threads(table, arguments.rounds)
        if "activities" in only:
            activities(table, arguments.rounds)
        if "compile" in only:
            compiling(table, programs["compile"])
        if "delivery" in only:
            delivery(table, arguments.rounds, server, programs["bare_reqwest"])
        if "idle" in only:
            size_and_idle(table, server)
        if "python" in only:
            python.beside_adobes(table, arguments.rounds, server, SCRATCH, LIBRARY / "libtarget_sdk.so")
    load.append(os.getloadavg()[0])
    print(table.text())
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    write("results.json", {"date": date, "processors": os.cpu_count(), "loadAverage": load, "rows": table.rows})
    # Above the number of processors, others had the machine too: times by the clock then say little.
    print(f"\n{date}, {os.cpu_count()} processors, load average {load[0]:.1f} before and {load[1]:.1f} after")
    print(f"as JSON: {SCRATCH / 'results.json'}")
    if arguments.strict and any(row["met"] is False for row in table.rows):
        sys.exit(1)


main()
