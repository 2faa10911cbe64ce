#!/bin/sh
# Which lines of the library the tests run: built with counters, then the Rust tests, the C programs and the fault matrix.
#   COVERAGE_LEAST  the least share of lines in percent (default 90): below it this exits with 1
# Needs the LLVM tools of the version that rustc was made with. Tests of time may fail under the counters: that is told, and
# judged by `make test` only.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
least=${COVERAGE_LEAST:-90}
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
sh tools/dependencies.sh make "llvm-profdata-$llvm"
make -s tools

CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/coverage
out=$CARGO_TARGET_DIR/out
rm -rf "$out"
mkdir -p "$out"
export CARGO_TARGET_DIR RUSTFLAGS="${RUSTFLAGS:-} -C instrument-coverage"
# Processes of one program share eight files of counters.
export LLVM_PROFILE_FILE="$out/%8m.profraw"

cargo build --quiet --workspace
ln -sf libtarget_sdk.so "$CARGO_TARGET_DIR/debug/libtarget_sdk.so.0"
tests="cargo test --quiet --package target-sdk-core --package target-sdk --lib --tests"
$tests --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' > "$out/programs"
$tests --no-fail-fast > "$out/tests.log" 2>&1 || sed -n 's/^test \(.*\) \.\.\. FAILED$/failed under the counters: \1/p' "$out/tests.log"
"$CARGO_TARGET_DIR/debug/target-faults" matrix > "$out/matrix.log" 2>&1 || tail -n 3 "$out/matrix.log"

find "$out" -name '*.profraw' > "$out/counters"
"llvm-profdata-$llvm" merge --sparse --input-files="$out/counters" -o "$out/all.profdata"
objects=$(sed 's/^/--object /' "$out/programs")
# shellcheck disable=SC2086 # a list of words
"llvm-cov-$llvm" export --format=lcov --instr-profile="$out/all.profdata" "$CARGO_TARGET_DIR/debug/libtarget_sdk.so" $objects \
  --ignore-filename-regex='/(registry|rustc|toolchains)/' > "$out/lines.lcov"
python3 tools/coverage.py "$out/lines.lcov" "$least"
