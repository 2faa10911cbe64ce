#!/bin/sh
# Builds the Python wheel, with the shared library inside, in target/wheels; installs it into an empty environment where no
# compiler is to be found, and tries it there.
#   PYTHON=python3.12     another interpreter to build and try with (3.9 or newer)
#   LIBRARY=FILE          pack this library instead of building the portable one
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
python=${PYTHON:-python3}
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac

sh tools/dependencies.sh readelf
command -v "$python" >/dev/null 2>&1 || sh tools/dependencies.sh python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || sh tools/dependencies.sh python3-venv

library=${LIBRARY:-}
if [ -z "$library" ]; then
  sh tools/portable.sh "$target/portable"
  library=$target/portable/libtarget_sdk.so
fi

# The tag says from which glibc on the library can be loaded: by the newest symbol that it asks for.
glibc=$(readelf --version-info --wide "$library" | grep -o 'GLIBC_[0-9][0-9.]*' | sort -u -t_ -k2V | tail -n 1)
platform=$(printf '%s' "${glibc#GLIBC_}" | awk -F. '{ print "manylinux_" $1 "_" ($2 < 17 ? 17 : $2) }')_$(uname -m)
foreign=$(readelf --dynamic --wide "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
  grep -v -x -e 'lib\(c\|m\|dl\|pthread\|rt\|gcc_s\)\.so\.[0-9]' -e 'ld-linux.*' || true)
[ -z "$foreign" ] || { echo "the library needs what a wheel may not ask for: $foreign" >&2; exit 1; }

# A copy, so that neither the library nor what setuptools leaves behind gets into the source tree.
stage=$target/wheel
rm -rf "$stage" "$target/wheels"
mkdir -p "$stage/target_sdk/lib" "$target/wheels"
cp bindings/python/pyproject.toml bindings/python/setup.py bindings/python/README.md LICENSE NOTICE "$stage"
(cd bindings/python && find target_sdk -name '*.py' -o -name py.typed) | while read -r file; do
  mkdir -p "$(dirname "$stage/$file")"
  cp "bindings/python/$file" "$stage/$file"
done
cp "$library" "$stage/target_sdk/lib/libtarget_sdk.so.0"
TARGET_SDK_WHEEL_PLATFORM=$platform "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
  --wheel-dir "$target/wheels" "$stage"
wheel=$(echo "$target"/wheels/*.whl)
echo "built $wheel"

echo "installing it where there is no compiler, and trying it:"
cargo build --quiet --package target-edge
edge=$target/debug/target-edge
. tools/edge.sh
"$python" -m venv "$work/venv"
unset TARGET_SDK_LIBRARY PYTHONPATH LD_LIBRARY_PATH
PATH="$work/venv/bin" CC=false "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --only-binary :all: "$wheel"
artifact=$root/examples/edge/data/artifact.json
start_edge --offers examples/edge/data/offers.json --artifact "$artifact"
cp bindings/python/tests/smoke.py "$work"
(cd "$work" && "$work/venv/bin/python" -I -W error smoke.py "$address" "$artifact")
