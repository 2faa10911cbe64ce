#!/bin/sh
# A long run with faults, unattended. Ends with one line of figures; exits with 1 when a promise was broken.
#   SOAK_SECONDS  how long the mixed load takes; the other steps grow with it (default 600)
#   SOAK_SEED     where chance begins (default 1)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
seconds=${SOAK_SECONDS:-600}
seed=${SOAK_SEED:-1}
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/soak
mkdir -p "$out"
echo "soak: SOAK_SECONDS=$seconds SOAK_SEED=$seed"

sh tools/dependencies.sh cc
cargo build --quiet --package target-sdk --package target-edge --package target-faults

began=$(date +%s)
figures=
failed=
step() { # NAME COMMAND...: its last line is figures
  name=$1
  shift
  printf '\n== %s\n' "$name"
  if "$@" > "$out/$name.out" 2> "$out/$name.err"; then :; else failed="$failed $name"; fi
  cat "$out/$name.out"
  case " $failed " in *" $name "*) tail -n 40 "$out/$name.err" ;; esac
  last=$(grep -v '^ *$' "$out/$name.out" | tail -n 1)
  figures="$figures; $name ${last#*: }"
}
least() { [ "$1" -gt "$2" ] && echo "$1" || echo "$2"; }

faults=$target/debug/target-faults
# What threads keep for themselves of freed memory would count as theirs, and grows for a while.
export GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.arena_max=2
step mixed "$faults" soak mixed --seconds "$seconds" --seed "$seed"
step kills "$faults" soak kills --count "$(least $((seconds * 5 / 3)) 50)" --seed "$seed"
step matrix "$faults" matrix --long --repeat "$(least $((seconds / 300)) 1)"
step cycles "$faults" soak cycles --seconds "$(least $((seconds / 6)) 10)" --seed "$seed"
step models env TARGET_SDK_SCHEDULES=1000000 sh tools/models.sh
step hygiene env TARGET_SDK_LONG=1 cargo test --quiet --package target-sdk --test hygiene

verdict=${failed:+FAILED:$failed}

printf '\nsoak: %s, %s s, seed %s%s\n' "${verdict:-passed}" "$(($(date +%s) - began))" "$seed" "$figures"
[ -z "$failed" ]
