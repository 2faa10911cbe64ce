#!/bin/sh
# Builds the library, the local edge and the examples in C and C++, and runs the examples against the edge over real HTTP.
# CARGO_PROFILE=release takes the library that users get (link-time optimisation: some minutes more).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
profile=${CARGO_PROFILE:-dev}
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
target=${CARGO_TARGET_DIR:-$root/target}

sh tools/dependencies.sh cc c++ pkg-config
build() { # PACKAGE PROFILE
  # A terminal sees what cargo compiles; a log does not need to.
  quiet=--quiet
  [ ! -t 2 ] || quiet=
  cargo build $quiet --profile "$2" --package "$1"
}
echo "Building the library ($profile profile). The first time this takes some minutes, with its dependencies ..."
build target-sdk "$profile"
echo "Building a local Target edge ..."
build target-edge dev

edge=$target/debug/target-edge
. tools/edge.sh

# As a user would: install, then build against what was installed.
echo "Building the examples in C and C++ ..."
sh packaging/install.sh "$target/$folder" "$work/usr" > "$work/install.out"
cp -R examples/c "$work/examples"
make -s -C "$work/examples" PKG_CONFIG_PATH="$work/usr/lib/pkgconfig"
cp -R examples/cpp "$work/examples-cpp"
make -s -C "$work/examples-cpp" CXXFLAGS=-g PKG_CONFIG_PATH="$work/usr/lib/pkgconfig"

start_edge --client acme --offers examples/edge/data/offers.json --artifact examples/edge/data/artifact.json
echo "The edge listens on http://$address"

failed=
run() { # TITLE EXAMPLE ARGUMENT
  printf '\n%s (examples/c/%s.c)\n' "$1" "$2"
  "$work/examples/$2" "$3" || { echo "  FAILED: exit code $?" >&2; failed="$failed $2"; }
}
run "Offers for three mboxes, by callback" get_offers "$address"
run "Feature flags, synchronously" get_attributes_sync "$address"
run "1,000 calls in flight on one thread, by epoll" event_loop "$address"
if [ "$profile" = release ]; then
  echo "  (the edge is an unoptimised build, on the same processors: docs/performance.md has measurements)"
else
  echo "  (figures of an unoptimised build measure nothing: docs/performance.md has those of a release)"
fi
run "Prefetch, then a display notification" notifications "$address"
run "Server-side, on the device, hybrid: one experience" hybrid "$address"
run_cpp() { # TITLE EXAMPLE
  printf '\n%s (examples/cpp/%s.cpp)\n' "$1" "$2"
  "$work/examples-cpp/$2" "$address" || { echo "  FAILED: exit code $?" >&2; failed="$failed $2.cpp"; }
}
run_cpp "C++: feature flags" attributes
run_cpp "C++: three visitors at once, by futures" futures
run_cpp "C++: objects that are called back, and may go" callbacks
run_cpp "C++: prefetch and notify in a coroutine" coroutine
run_cpp "C++: 200 calls in an event loop" event_loop
stop_edge
printf '\nThe edge has stopped. What follows uses no network.\n'
run "A decision from an artifact file" on_device examples/edge/data/artifact.json

printf '\n'
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
echo "All examples ran."
