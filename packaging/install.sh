#!/bin/sh
# Installs the built library:  install.sh BUILD_DIR PREFIX
# DESTDIR in the environment goes before PREFIX, for packages. Every installed file is relocatable.
# Without DESTDIR, root also runs ldconfig when the system's linker looks for libraries there.
# LIBDIR is where libraries go below PREFIX (lib); PC_PREFIX is a fixed prefix for the pkg-config files, for packages of a system.
set -eu

build=${1:?usage: install.sh BUILD_DIR PREFIX}
prefix=${2:?usage: install.sh BUILD_DIR PREFIX}
case $prefix in
  /*) ;;
  *) echo "install: PREFIX must be an absolute path, not '$prefix'" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
to=${DESTDIR:-}$prefix
libdir=${LIBDIR:-lib}
up=$(echo "$libdir" | sed 's|[^/][^/]*|..|g') # from there back to PREFIX
# shellcheck disable=SC2016 # for pkg-config to expand
pc_prefix=${PC_PREFIX:-'${pcfiledir}/../'$up}

for file in libtarget_sdk.so libtarget_sdk.a; do
  [ -f "$build/$file" ] || { echo "install: $build/$file is missing: run 'make build' first" >&2; exit 1; }
done

. "$root/packaging/facts.sh"

put() { # MODE FILE DESTINATION
  install -D -m "$1" "$2" "$to/$3"
}
fill() { # TEMPLATE DESTINATION
  mkdir -p "$to/$(dirname "$2")"
  sed -e "s|@VERSION@|$version|g" -e "s|@SOVERSION@|$soversion|g" -e "s|@POINTER_SIZE@|$pointer_size|g" \
      -e "s|@LIBDIR@|$libdir|g" -e "s|@UP@|$up|g" -e "s|@PC_PREFIX@|$pc_prefix|g" \
      -e "s|@STATIC_LIBS@|$static_libs|g" -e "s|@STATIC_LIBS_CMAKE@|$static_libs_cmake|g" \
      "$root/packaging/$1" > "$to/$2"
  chmod 644 "$to/$2"
}

put 755 "$build/libtarget_sdk.so" "$libdir/libtarget_sdk.so.$version"
ln -sf "libtarget_sdk.so.$version" "$to/$libdir/libtarget_sdk.so.$soversion"
ln -sf "libtarget_sdk.so.$soversion" "$to/$libdir/libtarget_sdk.so"
put 644 "$build/libtarget_sdk.a" "$libdir/libtarget_sdk.a"
for header in "$root"/include/target_sdk.h "$root"/include/target_sdk.hpp; do
  [ ! -f "$header" ] || put 644 "$header" "include/$(basename "$header")"
done
fill target-sdk.pc.in "$libdir/pkgconfig/target-sdk.pc"
fill target-sdk-static.pc.in "$libdir/pkgconfig/target-sdk-static.pc"
fill TargetSdkConfig.cmake.in "$libdir/cmake/TargetSdk/TargetSdkConfig.cmake"
fill TargetSdkConfigVersion.cmake.in "$libdir/cmake/TargetSdk/TargetSdkConfigVersion.cmake"
for text in LICENSE NOTICE; do put 644 "$root/$text" "share/doc/target-sdk/$text"; done

echo "installed target-sdk $version in $to"

# A package refreshes the linker's list where it is unpacked; what is installed here must be found here.
[ -z "${DESTDIR:-}" ] || exit 0
. "$root/packaging/linker.sh"
if searched "$to/$libdir"; then
  refresh_linker
else
  echo "programs find it with -Wl,-rpath,$to/$libdir when they are linked, or with LD_LIBRARY_PATH=$to/$libdir when they run"
fi
