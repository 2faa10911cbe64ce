#!/bin/sh
# Tests of the Python package: declarations, types, and all of bindings/python/tests against the local edge.
#   PYTHON=python3.9          another interpreter (3.9 or newer)
#   TARGET_SDK_EXITS=1000     the long form of the test of the interpreter's end (50 otherwise)
#   sh tools/test-python.sh ARGUMENTS...     handed to pytest
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
python=${PYTHON:-python3}
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

sh tools/dependencies.sh cc chromium chromedriver
command -v "$python" >/dev/null 2>&1 || sh tools/dependencies.sh python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || sh tools/dependencies.sh python3-venv

cargo build --quiet --package target-sdk --package target-edge

# An environment of its own for each version, made anew when what it needs changes.
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv=$target/python-venv-$version
if ! cmp -s bindings/python/tests/requirements.txt "$venv/installed"; then
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r bindings/python/tests/requirements.txt
  cp bindings/python/tests/requirements.txt "$venv/installed"
fi

export TARGET_SDK_LIBRARY="$target/debug/libtarget_sdk.so" CARGO_TARGET_DIR="$target"
export PYTHONPYCACHEPREFIX="$target/python-cache"
cd bindings/python
"$venv/bin/python" tools/generate.py --check
"$venv/bin/python" -m mypy --cache-dir "$target/mypy-cache-$version" .
(cd ../../examples/python && MYPYPATH=../../bindings/python "$venv/bin/python" -m mypy --strict --cache-dir "$target/mypy-cache-$version" *.py)
"$venv/bin/python" -m pytest -q -rs -p no:cacheprovider "$@"
