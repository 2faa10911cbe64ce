#!/bin/sh
# All tests. Installs the tools that they need when they are missing.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
step() { printf '\n== %s\n' "$1"; }

make -s tools
command -v cargo >/dev/null 2>&1 || { echo "please install Rust: cargo is not on the PATH" >&2; exit 1; }

step "format and lints"
cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets -- -D warnings

# The C tests link the library and start the local edge: both must be there before the tests run.
step "build"
cargo build --quiet --workspace
# Programs look for the library under its soname; cargo does not make that name.
ln -sf libtarget_sdk.so "${CARGO_TARGET_DIR:-target}/debug/libtarget_sdk.so.0"

step "tests"
cargo test --quiet --workspace

step "models of the concurrent core"
sh tools/models.sh

# Once more, for their counts: cargo hides what passing tests print.
step "Adobe's conformance cases"
[ -d "${TARGET_SDK_SHARED:-../shared}/conformance" ] ||
  echo "SKIPPED: no conformance data in ${TARGET_SDK_SHARED:-../shared} (TARGET_SDK_SHARED names another place)"
cargo test --quiet --package target-sdk-core --test conformance_decisioning -- --nocapture
cargo test --quiet --package target-sdk --test conformance -- --nocapture

step "faults"
"${CARGO_TARGET_DIR:-target}/debug/target-faults" matrix

step "examples over HTTP"
sh tools/demo.sh

step "C++"
sh tests/cpp/run.sh

step "Python"
sh tools/test-python.sh

step "documentation"
sh tools/check-docs.sh

step "what users install"
sh tests/install/run.sh
