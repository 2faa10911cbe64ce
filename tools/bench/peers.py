"""Adobe's SDKs for Node and Python, installed into a scratch folder, as functions that measure."""

import json
import subprocess
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[2] / "benches"
NODE_VERSION, PYTHON_VERSION = "2.4.3", "1.1.0"
# The Python package does not declare what it imports.
PYTHON_IMPORTS = ["six", "urllib3", "certifi", "python-dateutil", "requests", "user-agents", "tld", "tzlocal", "pytz", "json-logic-qubit"]


def _measure(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return {"us": min(answer["us"]), "response": answer["response"]}


def install_python(scratch):
    """The interpreter that has Adobe's Python SDK."""
    python = scratch / "python"
    interpreter = python / "bin" / "python"
    if not (python / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", python], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", f"target-python-sdk=={PYTHON_VERSION}", *PYTHON_IMPORTS], check=True)
        (python / "installed").touch()
    return interpreter


def decide_python(interpreter, artifact, request):
    """Figures of the Python SDK."""
    return _measure(interpreter, BENCHES / "peer_python.py", artifact, request, 50, 20)


def install(scratch):
    """Two functions (artifact, request) -> figures: the Node SDK and the Python SDK."""
    node = scratch / "node"
    package = node / "node_modules" / "@adobe" / "target-nodejs-sdk"
    if not package.exists():
        node.mkdir(exist_ok=True)
        (node / "package.json").write_text('{"private":true}', encoding="utf-8")
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", f"@adobe/target-nodejs-sdk@{NODE_VERSION}"], cwd=node, check=True)
    interpreter = install_python(scratch)
    return (
        lambda artifact, request: _measure("node", BENCHES / "peer_node.cjs", package, artifact, request, 200, 20),
        lambda artifact, request: decide_python(interpreter, artifact, request),
    )
