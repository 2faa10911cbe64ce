#!/bin/sh
# Compares this library with Adobe's Node SDK on generated artifacts, requests and calls for the server.
#
#   tools/differential/run.sh [SEED]
#
# DIFFERENTIAL_ARTIFACTS, DIFFERENTIAL_CALLS (for each artifact) and DIFFERENTIAL_DELIVERIES say how many cases there are,
# DIFFERENTIAL_SHOWN how many unexplained ones are printed. Everything it writes is in target/differential.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
seed=${1:-20261121}
version=2.4.3
work=${CARGO_TARGET_DIR:-$root/target}/differential
sdk=$work/sdk/node_modules/@adobe/target-nodejs-sdk

mkdir -p "$work/sdk"
if ! grep -q "\"version\": \"$version\"" "$sdk/package.json" 2>/dev/null; then
  npm install --prefix "$work/sdk" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "@adobe/target-nodejs-sdk@$version"
fi

cd "$root"
cargo build --quiet --package target-sdk-core --example decide_lines
ours=${CARGO_TARGET_DIR:-$root/target}/debug/examples/decide_lines

node "$here/generate.mjs" "$seed" "${DIFFERENTIAL_ARTIFACTS:-1000}" "${DIFFERENTIAL_CALLS:-6}" "${DIFFERENTIAL_DELIVERIES:-800}" \
  > "$work/cases.jsonl"
node "$here/reference.cjs" "$sdk" < "$work/cases.jsonl" > "$work/theirs.jsonl" &
theirs_pid=$!
"$ours" < "$work/cases.jsonl" > "$work/ours.jsonl" 2> "$work/ours.log" || { cat "$work/ours.log" >&2; exit 1; }
wait "$theirs_pid"

echo "differential: seed $seed, $(grep -c '^{"artifact"' "$work/cases.jsonl") artifacts"
node "$here/compare.mjs" "$work/cases.jsonl" "$work/theirs.jsonl" "$work/ours.jsonl"
