#!/bin/sh
# Fuzzes the targets of fuzz/, two at a time, and prints one line of figures.
#
#   FUZZ_SECONDS=60   time for each target
#   FUZZ_TARGETS=     only these, by name
#
# What it learns is kept in target/fuzz/corpus, inputs that fail in target/fuzz/artifacts. Needs Rust's nightly toolchain.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
built="$root/target/fuzz"
seconds=${FUZZ_SECONDS:-60}

# One target; run by xargs below.
if [ "${1:-}" = --one ]; then
  name=$2
  mkdir -p "$built/corpus/$name" "$built/artifacts/$name" "$built/logs"
  status=0
  # The seeds come last: libFuzzer writes to the first directory.
  "$built/$FUZZ_HOST/release/$name" "-max_total_time=$seconds" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
    "-artifact_prefix=$built/artifacts/$name/" "-dict=$root/fuzz/json.dict" \
    "$built/corpus/$name" "$root/fuzz/corpus/$name" >"$built/logs/$name.log" 2>&1 || status=$?
  # "#123 NEW cov: 1234 ft: 5678 corp: 90/12Kb ..." and "stat::number_of_executed_units: 123"
  awk -v name="$name" -v status="$status" '
    / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "corp:") corpus = $(i + 1) } }
    /^stat::number_of_executed_units:/ { runs = $2 }
    END {
      sub("/.*", "", corpus)
      printf "%s %d %d %d %d\n", name, runs, edges, corpus, status != 0
    }' "$built/logs/$name.log" >"$built/logs/$name.figures"
  read -r _ runs edges corpus failed <"$built/logs/$name.figures"
  printf '  %-22s %10s runs, %6s edges, corpus %5s%s\n' "$name" "$runs" "$edges" "$corpus" \
    "$([ "$failed" = 0 ] || echo ', FAILED')"
  exit 0
fi

command -v cargo >/dev/null 2>&1 || { echo "please install Rust: cargo is not on the PATH" >&2; exit 1; }
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "make fuzz needs Rust's nightly toolchain: rustup toolchain install nightly --profile minimal" >&2
  exit 1
fi
sh tools/dependencies.sh cc c++
PATH="$root/target/tools/bin:$PATH"
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "installing cargo-fuzz in target/tools"
  CARGO_TARGET_DIR="$root/target/tools/build" cargo install --quiet cargo-fuzz --locked --root "$root/target/tools"
fi

targets=${FUZZ_TARGETS:-$(cd fuzz/bins && printf '%s\n' *.rs | sed 's/\.rs$//')}
FUZZ_HOST=$(rustc +nightly -vV | sed -n 's/^host: //p')
export FUZZ_HOST FUZZ_SECONDS="$seconds"
# Optimised, with debug assertions and AddressSanitizer.
echo "building the targets"
CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2} CARGO_TARGET_DIR="$built" cargo +nightly fuzz build --fuzz-dir fuzz -O -a

rm -rf "$built/logs"
# shellcheck disable=SC2086 # a list of words
printf '%s\n' $targets | xargs -P 2 -n 1 sh tools/fuzz.sh --one

for name in $targets; do
  if ! read -r _ runs edges corpus failed <"$built/logs/$name.figures" || [ "$failed" != 0 ] || [ "$runs" = 0 ]; then
    echo "--- $name: the end of $built/logs/$name.log" >&2
    tail -n 40 "$built/logs/$name.log" >&2
  fi
done
# shellcheck disable=SC2086
(cd "$built/logs" && printf '%s.figures\n' $targets | xargs cat) | awk '
  { targets++; runs += $2; edges += $3; corpus += $4; failed += $5 != 0 || $2 == 0 }
  END {
    printf "fuzz: %d targets, %d executions, %d failed, corpus %d inputs, %d edges covered\n", targets, runs, failed, corpus, edges
    exit failed > 0
  }'
