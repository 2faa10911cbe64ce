#!/bin/sh
# Builds the C++ tests and the examples with g++ and clang++, as C++17 and C++20, the tests with and without exceptions, and runs them
# against the local edge; the tests once more under valgrind.
#   run.sh               the dev profile
#   CARGO_PROFILE=release run.sh
#   TARGET_SDK_TEST_LIFETIMES=200000 run.sh     how many objects come and go in the test of lifetimes (4,000)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
profile=${CARGO_PROFILE:-dev}
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
target=${CARGO_TARGET_DIR:-$root/target}

cd "$root"
sh tools/dependencies.sh g++ clang++ gtest valgrind
cargo build --quiet --profile "$profile" --package target-sdk
cargo build --quiet --package target-edge
# Programs look for the library under its soname; cargo does not make that name.
ln -sf libtarget_sdk.so "$target/$folder/libtarget_sdk.so.0"

edge=$target/debug/target-edge
. tools/edge.sh

failed=
options="-Wall -Wextra -Wpedantic -Werror -pthread -I$root/include"
libraries="-L$target/$folder -ltarget_sdk -Wl,-rpath,$target/$folder"
tests="$here/basics.cpp $here/callbacks.cpp $here/coroutines.cpp $here/lifetimes.cpp"
examples=$(cd "$root/examples/cpp" && for example in *.cpp; do echo "${example%.cpp}"; done)
# One of them optimised: coroutines are another program then.
configurations="g++:17:-O0 g++:20:-g clang++:17:-O0 clang++:20:-O2"

# shellcheck disable=SC2086 # lists of words
build() { # COMPILER STANDARD OPTIMISATION
  name=$1-$2
  printf '#include "target_sdk.hpp"\n#include "target_sdk.hpp"\n' > "$work/alone-$name.cpp"
  "$1" -std=c++"$2" $options -Wshadow -Wconversion -fsyntax-only "$work/alone-$name.cpp" &&
    "$1" -std=c++"$2" $options -fno-exceptions -fno-rtti "$here/noexcept.cpp" -o "$work/noexcept-$name" $libraries &&
    "$1" -std=c++"$2" "$3" $options $tests -o "$work/tests-$name" $libraries -lgtest -lgtest_main || return 1
  for example in $examples; do
    case $example-$2 in coroutine-17) continue ;; esac # coroutines came with C++20
    "$1" -std=c++"$2" "$3" $options "$root/examples/cpp/$example.cpp" -o "$work/$example-$name" $libraries || return 1
  done
}

echo "building"
for configuration in $configurations; do
  # shellcheck disable=SC2046 # a list of words
  build $(echo "$configuration" | tr : ' ') > "$work/build-$configuration" 2>&1 &
  eval "builds=\"\${builds:-} $!:$configuration\""
done
for build in $builds; do
  wait "${build%%:*}" || { failed="$failed, build ${build#*:}"; cat "$work/build-${build#*:}"; }
done
[ -z "$failed" ] || { echo "C++: failed: ${failed#, }" >&2; exit 1; }

start_edge --client acme --offers examples/edge/data/offers.json --artifact examples/edge/data/artifact.json
TARGET_SDK_TEST_EDGE=$address
export TARGET_SDK_TEST_EDGE

check() { # NAME COMMAND...: shows what it said when it fails
  what=$1
  shift
  if "$@" > "$work/out" 2>&1; then
    summary=$(sed -n 's/^\[  PASSED  \] //p; s/.*\(definitely lost: .*\)/\1/p' "$work/out" | tr '\n' ' ')
    echo "ok: $what ${summary}"
  else
    failed="$failed, $what"
    echo "FAILED: $what"
    tail -60 "$work/out"
  fi
}
for configuration in $configurations; do
  compiler=${configuration%%:*} standard=${configuration#*:}
  name=$compiler-${standard%%:*}
  check "tests with $name" "$work/tests-$name"
  check "without exceptions, $name" "$work/noexcept-$name" "$address"
  for example in $examples; do
    [ ! -x "$work/$example-$name" ] || check "example $example, $name" "$work/$example-$name" "$address"
  done
done
examples_fail() { # nobody listens on that port: each says so and ends with 1
  for example in $examples; do
    code=0
    "$work/$example-g++-20" 127.0.0.1:1 > "$work/said" 2>&1 || code=$?
    if [ "$code" != 1 ] || ! grep -q "connection refused" "$work/said"; then
      echo "$example: exit code $code"
      cat "$work/said"
      return 1
    fi
  done
}
check "examples without an edge fail" examples_fail
lost() { # valgrind counts only what it can still prove at the end; nothing may be lost
  TARGET_SDK_TEST_LIFETIMES=${TARGET_SDK_TEST_LIFETIMES_VALGRIND:-300} \
    valgrind --leak-check=full --errors-for-leak-kinds=definite,possible --error-exitcode=99 --fair-sched=yes \
    --suppressions="$root/tests/valgrind.supp" "$work/tests-g++-20" '--gtest_filter=-*DeathTest*'
}
check "tests under valgrind" lost

[ -z "$failed" ] || { echo "C++: failed: ${failed#, }" >&2; exit 1; }
echo "C++: all passed"
