#!/bin/sh
# Builds and runs users' programs against the installed library, and looks at what was installed.
#   run.sh            the dev profile
#   CARGO_PROFILE=release run.sh
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
profile=${CARGO_PROFILE:-dev}
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
target=${CARGO_TARGET_DIR:-$root/target}
cc=${CC:-cc}

cd "$root"
cargo build --quiet --profile "$profile" --package target-sdk
. tools/work.sh

. packaging/facts.sh
. tools/check.sh

# Installed in one place and moved to another: nothing may remember where it was.
DESTDIR=$work/stage sh packaging/install.sh "$target/$folder" /opt/sdk > /dev/null
mv "$work/stage/opt/sdk" "$work/moved here"
prefix="$work/moved here"
library=$prefix/lib/libtarget_sdk.so.$version
ln -s "$prefix" "$work/sdk" # a path without a blank, for compilers' command lines
PKG_CONFIG_PATH=$work/sdk/lib/pkgconfig
export PKG_CONFIG_PATH
expected="$version TARGET_OK"
# shellcheck disable=SC2086,SC2046 # lists of words throughout
compile() { $cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$1" "$2" $3; }
says() { [ "$("$@")" = "$expected" ] || { echo "it said: $("$@")"; return 1; }; }
# `!` alone does not end a shell that runs with -e.
refute() { if "$@"; then echo "unexpected: $*"; return 1; fi; }
needs_library() { readelf -d "$1" | grep -q 'NEEDED.*libtarget_sdk'; }

shared_by_pkg_config() {
  compile "$work/shared" "$here/main.c" "$(pkg-config --cflags --libs target-sdk)"
  needs_library "$work/shared"
  LD_LIBRARY_PATH=$work/sdk/lib says "$work/shared"
}
shared_by_rpath() {
  compile "$work/rpath" "$here/main.c" "$(pkg-config --cflags --libs target-sdk) -Wl,-rpath,$work/sdk/lib"
  says "$work/rpath"
}
cpp_by_pkg_config() {
  # shellcheck disable=SC2046 # a list of words
  ${CXX:-c++} -std=c++17 -Wall -Wextra -Wpedantic -Werror -o "$work/cpp" "$here/main.cpp" \
    $(pkg-config --cflags --libs target-sdk) "-Wl,-rpath,$work/sdk/lib"
  says "$work/cpp"
}
static_by_pkg_config() { # where only the archive is installed
  mkdir "$work/archive"
  cp -R "$prefix/." "$work/archive"
  rm "$work"/archive/lib/*.so*
  PKG_CONFIG_PATH=$work/archive/lib/pkgconfig
  compile "$work/static" "$here/main.c" "$(pkg-config --static --cflags --libs target-sdk)"
  refute needs_library "$work/static"
  says "$work/static"
}
static_beside_shared() {
  compile "$work/beside" "$here/main.c" "$(pkg-config --cflags --libs target-sdk-static)"
  refute needs_library "$work/beside"
  says "$work/beside"
}
by_cmake() {
  cmake -S "$here" -B "$work/cmake" "-DCMAKE_PREFIX_PATH=$prefix"
  cmake --build "$work/cmake"
  needs_library "$work/cmake/with_shared"
  refute needs_library "$work/cmake/with_static"
  says "$work/cmake/with_shared"
  says "$work/cmake/with_static"
  says "$work/cmake/cpp_with_shared"
  says "$work/cmake/cpp_with_static"
}
cmake_refuses_newer() {
  mkdir "$work/newer"
  printf 'cmake_minimum_required(VERSION 3.13)\nproject(p C)\nfind_package(TargetSdk 99 REQUIRED)\n' > "$work/newer/CMakeLists.txt"
  refute cmake -S "$work/newer" -B "$work/newer/build" "-DCMAKE_PREFIX_PATH=$prefix"
}
examples_by_make() {
  cp -R examples/c "$work/examples"
  make -s -C "$work/examples" CC="$cc"
}
examples_by_cmake() {
  for language in c cpp; do
    cmake -S "examples/$language" -B "$work/examples-cmake-$language" "-DCMAKE_PREFIX_PATH=$prefix" -DCMAKE_BUILD_TYPE=Debug
    cmake --build "$work/examples-cmake-$language"
  done
}
readme_program() { # the first C program of the README is complete, and so is the first C++ program
  for language in c cpp; do
    awk "/^\`\`\`$language\$/ { inside = 1; next } /^\`\`\`\$/ && inside { exit } inside" README.md > "$work/readme.$language"
    grep -q 'int main' "$work/readme.$language"
  done
  compile "$work/readme" "$work/readme.c" "$(pkg-config --cflags --libs target-sdk)"
  # shellcheck disable=SC2046 # a list of words
  ${CXX:-c++} -std=c++17 -Wall -Wextra -Wpedantic -Werror -o "$work/readme-cpp" "$work/readme.cpp" \
    $(pkg-config --cflags --libs target-sdk)
}
soname() {
  readelf -d "$library" | grep -q "SONAME.*\[libtarget_sdk\.so\.$soversion\]"
  [ "$(readlink "$prefix/lib/libtarget_sdk.so.$soversion")" = "libtarget_sdk.so.$version" ]
  [ "$(readlink "$prefix/lib/libtarget_sdk.so")" = "libtarget_sdk.so.$soversion" ]
}
stays_mapped() { readelf -d "$library" | grep -q 'FLAGS_1.*NODELETE'; }
exported_symbols() {
  nm -D --defined-only "$library" | awk '{ print $NF }' | sort > "$work/exported"
  sort tests/abi/symbols.txt > "$work/wanted"
  diff "$work/wanted" "$work/exported"
}
few_libraries() { # the C library and the compiler's: nothing to install beside it
  others=$(readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
    grep -v -E '^(libc|libm|libgcc_s|libpthread|libdl|librt|libutil|ld-linux.*)\.so') || return 0
  echo "also needs: $others"
  return 1
}
no_paths() { refute grep -r -l -F -e "$root" -e "$work" -e /opt/sdk "$prefix/lib/pkgconfig" "$prefix/lib/cmake"; }
static_libraries() { # the committed list is what rustc says
  said=$(cargo rustc --profile "$profile" --package target-sdk --lib --crate-type staticlib -- \
    --print native-static-libs 2>&1 | sed -n 's/^note: native-static-libs: *//p' | tail -1)
  [ "$said" = "$static_libs" ] || { echo "rustc: '$said', packaging/native-static-libs: '$static_libs'"; return 1; }
}
uninstall() {
  sh packaging/install.sh "$target/$folder" "$work/gone"
  echo keep > "$work/gone/lib/other"
  sh packaging/uninstall.sh "$work/gone"
  [ "$(cd "$work/gone" && find . -type f -o -type l)" = ./lib/other ]
}

# With a linker of its own, so that the system's is left alone: it knows one folder, and writes down when its list is made anew.
linker_list() {
  mkdir "$work/bin"
  cat > "$work/bin/ldconfig" <<SH
#!/bin/sh
case \$1 in -NXv) echo "$work/known/lib: (from a test)" ;; *) echo refreshed >> "$work/refreshed"; exit 1 ;; esac
SH
  printf '#!/bin/sh\necho "$TEST_USER_ID"\n' > "$work/bin/id"
  chmod +x "$work/bin/ldconfig" "$work/bin/id"
  PATH=$work/bin:$PATH
  install_in() { TEST_USER_ID=$1 sh packaging/install.sh "$target/$folder" "$2" > "$work/said" 2>&1; }
  export TEST_USER_ID
  install_in 0 "$work/unknown"
  grep -q -F -e "-Wl,-rpath,$work/unknown/lib" "$work/said"
  install_in 1000 "$work/known"
  grep -q "run 'ldconfig' as root" "$work/said"
  DESTDIR=$work/stage install_in 0 "$work/known"
  [ "$(wc -l < "$work/said")" = 1 ]
  [ ! -e "$work/refreshed" ]
  install_in 0 "$work/known" # its ldconfig fails: told, and no more than that
  [ "$(cat "$work/refreshed")" = refreshed ]
  grep -q "ldconfig failed" "$work/said"
  TEST_USER_ID=0 sh packaging/uninstall.sh "$work/known"
  [ "$(wc -l < "$work/refreshed")" = 2 ]
}

check "program with pkg-config, shared, LD_LIBRARY_PATH" shared_by_pkg_config
check "program with pkg-config, shared, rpath" shared_by_rpath
check "C++ program with pkg-config" cpp_by_pkg_config
check "program with pkg-config --static" static_by_pkg_config
check "program with pkg-config, archive beside the shared library" static_beside_shared
check "programs with CMake, shared and static" by_cmake
check "CMake refuses a newer version" cmake_refuses_newer
check "examples with make" examples_by_make
check "examples with CMake" examples_by_cmake
check "program of the README" readme_program
check "soname and links" soname
check "stays mapped after dlclose" stays_mapped
check "exports what tests/abi/symbols.txt lists" exported_symbols
check "needs no other libraries" few_libraries
check "installed files name no paths" no_paths
check "list of static libraries" static_libraries
check "uninstall" uninstall
check "the linker's list is made anew where it names the folder" linker_list

echo "install: $passed passed, $failed failed"
[ "$failed" = 0 ]
