#!/bin/sh
# Makes the tarball of the library, target/dist/target-sdk-VERSION-linux-ARCHITECTURE.tar.gz, and checks it where it was unpacked.
#   tools/dist.sh [--quick]      --quick leaves out the tests of the C interface (two minutes)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
glibc=2.28 # as in tools/portable.sh
most_bytes=$((6 * 1024 * 1024))

sh tools/dependencies.sh cc c++ pkg-config cmake readelf
sh tools/portable.sh
. packaging/facts.sh
name=target-sdk-$version-linux-$(uname -m)
dist=$target/dist
tarball=$dist/$name.tar.gz

. tools/work.sh

DESTDIR=$work sh packaging/install.sh "$target/portable" "/$name" > /dev/null
mkdir -p "$dist"
# The same files give the same bytes: no owner, no time of today.
date=$(git log -1 --format=%ct 2>/dev/null || echo 0)
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$date}" -cf - "$name" | gzip -n -9 > "$tarball.new"
mv "$tarball.new" "$tarball"
(cd "$dist" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")

# From here on only the tarball counts, unpacked in a directory with a blank.
mkdir "$work/unpacked here" "$work/build"
tar -C "$work/unpacked here" -xzf "$tarball"
prefix="$work/unpacked here/$name"
ln -s "$prefix" "$work/sdk" # a path without a blank, for compilers' command lines
library=$work/sdk/lib/libtarget_sdk.so.$version
PKG_CONFIG_PATH=$work/sdk/lib/pkgconfig
export PKG_CONFIG_PATH

. tools/check.sh
says() { [ "$("$@")" = "$version TARGET_OK" ] || { echo "it said: $("$@")"; return 1; }; }
refute() { if "$@"; then echo "unexpected: $*"; return 1; fi; }
uses_library() { readelf -d "$1" | grep -q 'NEEDED.*libtarget_sdk'; }

# shellcheck disable=SC2046 # lists of words throughout
by_pkg_config() {
  cc -o "$work/build/c" tests/install/main.c $(pkg-config --cflags --libs target-sdk)
  c++ -std=c++17 -o "$work/build/cpp" tests/install/main.cpp $(pkg-config --cflags --libs target-sdk) "-Wl,-rpath,$work/sdk/lib"
  uses_library "$work/build/c"
  LD_LIBRARY_PATH=$work/sdk/lib says "$work/build/c"
  says "$work/build/cpp"
}
archive_by_pkg_config() {
  cc -o "$work/build/static" tests/install/main.c $(pkg-config --cflags --libs target-sdk-static)
  refute uses_library "$work/build/static"
  says "$work/build/static"
}
by_cmake() {
  cmake -S tests/install -B "$work/build/cmake" "-DCMAKE_PREFIX_PATH=$prefix"
  cmake --build "$work/build/cmake"
  for program in with_shared with_static cpp_with_shared cpp_with_static; do says "$work/build/cmake/$program"; done
  uses_library "$work/build/cmake/with_shared"
  refute uses_library "$work/build/cmake/with_static"
}
decides() { # the library at work: an example that needs no network
  make -s -C "$work/build/examples" on_device
  "$work/build/examples/on_device" examples/edge/data/artifact.json
}
oldest_glibc() { sh tools/glibc-floor.sh "$library" "$glibc"; }
glibc_check_works() { refute sh tools/glibc-floor.sh "$library" 2.17; }
archive_on_oldest_glibc() { # a program from the archive, linked as on a system that has that glibc
  "$target/tools/zig/bin/python" -m ziglang cc -target "$(uname -m)-linux-gnu.$glibc" -o "$work/build/old" \
    tests/install/main.c "-I$work/sdk/include" "$work/sdk/lib/libtarget_sdk.a" -lunwind
  sh tools/glibc-floor.sh "$work/build/old" "$glibc"
  says "$work/build/old"
}
size() {
  bytes=$(wc -c < "$library")
  echo "$bytes bytes"
  [ "$bytes" -le "$most_bytes" ]
}
stripped() { refute sh -c "readelf -SW '$library' | grep -E '\\.(symtab|debug_)'"; }
no_paths() { refute grep -r -l -a -F -e "$root" -e "$HOME/" "$prefix"; }
notices() { [ -s "$prefix/share/doc/target-sdk/LICENSE" ] && [ -s "$prefix/share/doc/target-sdk/NOTICE" ]; }
linked_as_promised() { TARGET_SDK_TEST_LIBRARY=$library cargo test --quiet --package target-sdk --test symbols; }
contract() { # the archive of the same build lies beside the library
  TARGET_SDK_TEST_LIBRARY=$target/portable/libtarget_sdk.so cargo test --quiet --package target-sdk --test contract
}

cp -R examples/c "$work/build/examples"
check "programs in C and C++ with pkg-config" by_pkg_config
check "program from the archive with pkg-config" archive_by_pkg_config
check "programs with CMake, shared and static" by_cmake
check "a decision" decides
check "glibc $glibc is enough" oldest_glibc
check "the check of that fails when it should" glibc_check_works
check "glibc $glibc is enough for the archive" archive_on_oldest_glibc
check "at most 6 MiB" size
check "stripped" stripped
check "soname, exports, nodelete, nothing else needed" linked_as_promised
check "no paths of this machine" no_paths
check "licence and notice" notices
[ "${1:-}" = --quick ] || check "the contract of the C interface (tests/contract.rs)" contract

echo "dist: $passed passed, $failed failed"
[ "$failed" = 0 ]
echo "$tarball, $(wc -c < "$tarball") bytes"
