#!/bin/sh
# Runs the library under what finds memory errors, leaks and races:
#
#   address    AddressSanitizer and LeakSanitizer: the C programs of tests/c, and the fuzz targets of the C ABI in a Rust host
#   thread     ThreadSanitizer: the same storms, on 20 threads
#   valgrind   memcheck with descriptors: SANITIZE_CYCLES (2000; 20000 is the long form) clients from create to destroy
#   miri       where there is one
#
# SANITIZERS="address thread" runs only these. Each proves first that it is there: it must find bugs planted in
# tools/sanitize/canary.*. The first two need Rust's nightly toolchain, and no source of the standard library.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
wanted=${SANITIZERS:-address thread valgrind miri}
cycles=${SANITIZE_CYCLES:-2000}
jobs=${CARGO_BUILD_JOBS:-2}
summary=
die() { echo "$*" >&2; exit 1; }
wants() { case " $wanted " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

command -v cargo >/dev/null 2>&1 || die "please install Rust: cargo is not on the PATH"
sh tools/dependencies.sh cc nm valgrind
if wants address || wants thread; then
  cargo +nightly --version >/dev/null 2>&1 ||
    die "make sanitize needs Rust's nightly toolchain: rustup toolchain install nightly --profile minimal"
  host=$(rustc +nightly -vV | sed -n 's/^host: //p')
  runtimes=$(rustc +nightly --print sysroot)/lib/rustlib/$host/lib
fi

# ---- programs ---------------------------------------------------------------------------------------------------------

# C programs are compiled with the system's compiler, which calls the sanitizer by the same names as Rust's; and linked with
# Rust's runtime and no other: two in one process see half each.
c_program() { # source, program, directory and name of the library
  cc -std=c99 -g -O1 "-fsanitize=$kind" -I include -I tests/c -c "$1" -o "$2.o"
  cc "$2.o" -o "$2" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -rdynamic \
    "-L$3" "-l$4" "-Wl,-rpath,$3" -pthread -ldl -lm -lrt
}

# Programs say nothing, but for lines that begin with SKIPPED. Those that also hold the library to bounds of time get three
# tries, as long as no sanitizer has reported anything: a busy machine that is made ten times slower may miss a bound.
run() { # words of the command
  runs=$((runs + 1)) try=0
  while :; do
    status=0
    # Bounded, so that a deadlock is a failure.
    CHECK_SLOWNESS=10 TARGET_SDK_LIBRARY="$library/libtarget_sdk.so" timeout 1800 "$@" >"$built/run.log" 2>&1 || status=$?
    if [ "$status" = 0 ] && ! grep -qv '^SKIPPED:' "$built/run.log"; then
      return 0
    fi
    try=$((try + 1))
    if [ $try = 3 ] || grep -q 'Sanitizer\|^==[0-9]' "$built/run.log" || ! grep -q '^tests/c/.*\.c:' "$built/run.log"; then
      break
    fi
    echo "once more, a bound of time may have been missed: $(head -n 1 "$built/run.log")"
  done
  echo "--- $* failed ($status):" >&2
  head -c 20000 "$built/run.log" >&2
  die "sanitize: $kind: $* failed"
}

# A planted bug: what must be said about it.
finds() { # which, words of the report
  if "$built/canary" "$1" >"$built/run.log" 2>&1 || ! grep -q "$2" "$built/run.log"; then
    cat "$built/run.log" >&2
    die "sanitize: the planted bug $1 is not found: $kind is not at work"
  fi
  planted=$((planted + 1))
}

prepare() { # kind, short name
  kind=$1
  built="$root/target/$2/programs"
  library="$root/target/$2/$host/debug"
  runtime=$(find "$runtimes" -name "librustc*_rt.$2.a" | head -n 1)
  [ -n "$runtime" ] || die "the nightly toolchain has no runtime for $kind"
  mkdir -p "$built"
  runs=0 planted=0
  flags="-Zsanitizer=$kind"
  # The standard library is not compiled for ThreadSanitizer; newer compilers want to be told that this is known.
  if [ "$kind" = thread ] && rustc +nightly -C help | grep -q unsafe-allow-abi-mismatch; then
    flags="$flags -Cunsafe-allow-abi-mismatch=sanitizer"
  fi
}

canary_library() { # more arguments
  # shellcheck disable=SC2086 # a list of words
  rustc +nightly --edition 2024 --crate-type cdylib -g $flags "$@" -o "$built/libcanary.so" tools/sanitize/canary.rs
}

cargo_rustc() { # what to build; then arguments for its last step
  what=$1
  shift
  # shellcheck disable=SC2086
  RUSTFLAGS="$flags --cfg plain_heap" CARGO_TARGET_DIR="$root/target/$short" \
    cargo +nightly rustc -j "$jobs" --quiet --target "$host" --package target-sdk $what -- "$@"
}

build() { # arguments for the linker
  cargo_rustc "--lib --crate-type cdylib" "$@"
  ln -sf libtarget_sdk.so "$library/libtarget_sdk.so.0"
}

# The fuzz targets of the C ABI, with the library in the same program.
build_rust_host() {
  rust_host=$(cargo_rustc "--test corpus --message-format json-render-diagnostics" "$@" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
  [ -x "$rust_host" ] || die "sanitize: the Rust host was not built"
}

programs() { # names of tests/c
  for name in "$@"; do
    c_program "tests/c/$name.c" "$built/$name" "$library" target_sdk
  done
}

done_with() { # one line of figures
  line="$1: $runs programs, $planted planted bugs found, 0 reports"
  echo "$line"
  summary="$summary
  $line"
}

# ---- address ----------------------------------------------------------------------------------------------------------

if wants address; then
  echo "== AddressSanitizer and LeakSanitizer"
  short=asan
  prepare address asan
  export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:check_initialization_order=1:exitcode=99
  canary_library
  c_program tools/sanitize/canary.c "$built/canary" "$built" canary
  for language in rust c; do
    finds $language-use-after-free heap-use-after-free
    finds $language-leak "detected memory leaks"
  done
  run "$built/canary" rust-no-race
  build
  programs null_and_bad statuses callbacks queues close shutdown sync exactly_once fork exit_in_flight
  run "$built/null_and_bad" 2000
  run "$built/statuses"
  run "$built/callbacks" 20
  run "$built/queues" 5000
  run "$built/close" 40
  run "$built/shutdown" 40
  run "$built/sync"
  run "$built/exactly_once" 50 500
  run "$built/exactly_once" 16 1000 1 shutdown
  c_program tools/sanitize/cycles.c "$built/cycles" "$library" target_sdk
  run "$built/cycles" 1000
  c_program tools/sanitize/init_storm.c "$built/init_storm" "$library" target_sdk
  run "$built/init_storm" 20 2000
  build_rust_host
  run "$rust_host"
  # Children of a fork leave alone what they inherit, and a process that exits with calls in flight does not clean up: what
  # they leave is no leak.
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  run "$built/fork"
  for how in plain close shutdown busy callback thread; do
    run "$built/exit_in_flight" $how 3
  done
  done_with "address, leaks"
  unset ASAN_OPTIONS
fi

# ---- thread -----------------------------------------------------------------------------------------------------------

# Name of a function of the standard library as the linker knows it.
symbol() { # readable name
  nm --defined-only "$built/libcanary.so" | awk '{ print $3 }' >"$built/names"
  nm --defined-only --demangle "$built/libcanary.so" | cut -d ' ' -f 3- | sed 's/[<>]//g; s/::h[0-9a-f]*$//' >"$built/readable"
  paste -d ' ' "$built/names" "$built/readable" |
    awk -v wanted="$1" 'substr($0, index($0, " ") + 1) == wanted { print $1; exit }'
}

if wants thread; then
  echo "== ThreadSanitizer"
  short=tsan
  prepare thread tsan
  export TSAN_OPTIONS="suppressions=$root/tools/sanitize/tsan.supp exitcode=99"
  # First without, to find the names; see tools/sanitize/std_locks.c for what this is about.
  canary_library
  names= wraps=--wrap=__tsan_atomic64_fetch_sub
  for pair in LOCK=mutex::futex::Mutex::lock_contended READ=rwlock::futex::RwLock::read_contended \
    WRITE=rwlock::futex::RwLock::write_contended WAIT=condvar::futex::Condvar::wait \
    WAIT_TIMEOUT=condvar::futex::Condvar::wait_timeout ONCE=once::futex::Once::call; do
    name=$(symbol "std::sys::sync::${pair#*=}")
    [ -n "$name" ] || die "sanitize: this nightly's standard library has no std::sys::sync::${pair#*=}: see tools/sanitize/std_locks.c"
    names="$names -D${pair%%=*}=$name" wraps="$wraps,--wrap=$name"
  done
  # shellcheck disable=SC2086
  cc -std=c99 -O1 -g -fPIC -fexceptions -Wall -Wextra $names -c tools/sanitize/std_locks.c -o "$built/std_locks.o"
  canary_library -C "link-arg=$built/std_locks.o" -C "link-arg=-Wl,$wraps"
  c_program tools/sanitize/canary.c "$built/canary" "$built" canary
  for language in rust c; do
    finds $language-race "data race"
  done
  run "$built/canary" rust-no-race
  build -C "link-arg=$built/std_locks.o" -C "link-arg=-Wl,$wraps"
  # fork.c is not for this one: after a fork of several threads it does not work.
  programs null_and_bad callbacks queues close shutdown sync exactly_once
  run "$built/null_and_bad" 200
  run "$built/callbacks" 20
  run "$built/queues" 5000
  run "$built/close" 40
  run "$built/shutdown" 40
  run "$built/sync"
  run "$built/exactly_once" 20 2000
  run "$built/exactly_once" 20 2000 2 shutdown
  c_program tools/sanitize/cycles.c "$built/cycles" "$library" target_sdk
  run "$built/cycles" 500
  c_program tools/sanitize/init_storm.c "$built/init_storm" "$library" target_sdk
  run "$built/init_storm" 20 2000
  done_with "thread"
  unset TSAN_OPTIONS
fi

# ---- valgrind ---------------------------------------------------------------------------------------------------------

if wants valgrind; then
  echo "== valgrind, $cycles cycles"
  kind=valgrind built="$root/target/valgrind" runs=0 planted=0
  library="${CARGO_TARGET_DIR:-$root/target}/debug"
  mkdir -p "$built"
  cargo build -j "$jobs" --quiet --package target-sdk
  ln -sf libtarget_sdk.so "$library/libtarget_sdk.so.0"
  rustc --edition 2024 --crate-type cdylib -g -o "$built/libcanary.so" tools/sanitize/canary.rs
  cc -std=c99 -g tools/sanitize/canary.c -o "$built/canary.program" "-L$built" -lcanary "-Wl,-rpath,$built" -pthread
  cc -std=c99 -g -O1 -I include -I tests/c tools/sanitize/cycles.c -o "$built/cycles" "-L$library" -ltarget_sdk \
    "-Wl,-rpath,$library" -pthread
  check="valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite,possible --fair-sched=yes --error-exitcode=99
    --suppressions=$root/tests/valgrind.supp"
  printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$(echo $check)" "$built/canary.program" >"$built/canary"
  chmod +x "$built/canary"
  for language in rust c; do
    finds $language-use-after-free "Invalid read"
    finds $language-leak "definitely lost"
  done
  # shellcheck disable=SC2086
  run $check --track-fds=yes "--log-file=$built/cycles.log" "$built/cycles" "$cycles"
  # "Open file descriptor 5: ..." and in the next line where it was opened
  open=$(awk '/Open / { open = $0; next } open != "" { if (!/inherited from parent/) print open; open = "" }' "$built/cycles.log")
  [ -z "$open" ] || die "sanitize: descriptors are left open: $open"
  done_with "valgrind ($cycles cycles)"
fi

# ---- miri -------------------------------------------------------------------------------------------------------------

if wants miri; then
  if cargo +nightly miri --version >/dev/null 2>&1; then
    echo "== Miri"
    kind=miri runs=1 planted=0
    # What needs no sockets: handles, tables, texts, queues.
    MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR="$root/target/miri" cargo +nightly miri test --package target-sdk --lib
    done_with "miri"
  else
    echo "SKIPPED: miri is not installed (rustup component add miri --toolchain nightly): undefined behaviour that no" \
      "sanitizer sees is not looked for"
    summary="$summary
  miri: SKIPPED, it is not installed"
  fi
fi

echo "sanitize:$summary"
