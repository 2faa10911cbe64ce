#!/bin/sh
# Do the tests of the core notice when its code changes? Changes it in a thousand small ways, one at a time, and runs the tests.
#
#   MUTANTS_PART=decisions  what decisions, requests and answers are made of, with the tests that need no network
#   MUTANTS_PART=delivery   all the rest: transport, client, artifact, configuration, with all tests of the core
#   MUTANTS_SHARE=9         one of so many changes, evenly spread (decisions: half an hour on two cores; 1: all of them)
#   MUTANTS_LEAST=80        the least share of changes in percent that must be noticed: below it this exits with 1
#
# Which were not is printed, and in target/mutants/PART/mutants.out/missed.txt.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
part=${MUTANTS_PART:-decisions}
share=${MUTANTS_SHARE:-9}
least=${MUTANTS_LEAST:-80}
tools="$root/target/tools"
out="$root/target/mutants/$part"

sh tools/dependencies.sh cc
PATH="$tools/bin:$PATH"
if ! command -v cargo-mutants >/dev/null 2>&1; then
  echo "installing cargo-mutants in target/tools"
  CARGO_TARGET_DIR="$tools/build" cargo install --quiet cargo-mutants --locked --root "$tools"
fi

decisions='attributes.rs cookies.rs date.rs decisioning/** delivery/** envelope.rs json/** number.rs visitor.rs'
tests='artifact conformance_decisioning decisioning_cases decisioning_logging decisioning_robustness delivery differential
  injection json_verdicts option_types'

set -f
set -- --package target-sdk-core --exclude 'core/src/fuzzing/**' --shard "0/$share" --sharding round-robin
case $part in
decisions)
  for file in $decisions; do set -- "$@" --file "core/src/$file"; done
  set -- "$@" --jobs 2 --timeout 60 --cargo-arg=--lib
  for test in $tests; do set -- "$@" "--cargo-arg=--test=$test"; done
  ;;
delivery) # these tests wait: only one at a time, or the load would be noticed and not the change
  for file in $decisions; do set -- "$@" --exclude "core/src/$file"; done
  set -- "$@" --jobs 1 --timeout 180
  ;;
*)
  echo "MUTANTS_PART is $part: decisions or delivery" >&2
  exit 1
  ;;
esac
set +f

rm -rf "$out"
mkdir -p "$out"
# 2 and 3: some were not noticed, some never ended. Anything else has judged nothing.
status=0
env -u CARGO_TARGET_DIR cargo mutants --cap-lints true --output "$out" "$@" || status=$?
case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac

count() { wc -l < "$out/mutants.out/$1.txt"; }
missed=$(count missed)
noticed=$(($(count caught) + $(count timeout)))
tried=$((noticed + missed))
[ "$tried" -gt 0 ] || { echo "no change was tried" >&2; exit 1; }
echo "mutants: $part, one of $share: $noticed of $tried noticed ($((noticed * 100 / tried)) %), $(count unviable) do not compile"
[ $((noticed * 100)) -ge $((least * tried)) ]
