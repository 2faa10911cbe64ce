#!/bin/sh
# Model checks of the concurrent core: every order of steps of short scenes (loom), random orders of those and of a long
# story (shuttle). TARGET_SDK_SCHEDULES=1000000 for more random orders than 100,000.
set -eu

cd "$(dirname "$0")/.."
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/models
export CARGO_TARGET_DIR
cd models
cargo fmt --check
cargo test --quiet --locked "$@"
