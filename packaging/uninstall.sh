#!/bin/sh
# Removes what install.sh installed:  uninstall.sh PREFIX   (DESTDIR, LIBDIR as there)
set -eu

prefix=${1:?usage: uninstall.sh PREFIX}
root=$(cd "$(dirname "$0")/.." && pwd)
from=${DESTDIR:-}$prefix
libdir=${LIBDIR:-lib}
. "$root/packaging/facts.sh"

for file in "$libdir/libtarget_sdk.so.$version" "$libdir/libtarget_sdk.so.$soversion" "$libdir/libtarget_sdk.so" "$libdir/libtarget_sdk.a" \
            include/target_sdk.h include/target_sdk.hpp "$libdir/pkgconfig/target-sdk.pc" "$libdir/pkgconfig/target-sdk-static.pc" \
            "$libdir/cmake/TargetSdk/TargetSdkConfig.cmake" "$libdir/cmake/TargetSdk/TargetSdkConfigVersion.cmake" \
            share/doc/target-sdk/LICENSE share/doc/target-sdk/NOTICE; do
  rm -f "$from/$file"
done
# Only the directories that are the library's own, and only when nobody put anything else there.
for directory in "$libdir/cmake/TargetSdk" share/doc/target-sdk; do
  [ ! -d "$from/$directory" ] || rmdir --ignore-fail-on-non-empty "$from/$directory"
done
echo "removed target-sdk from $from"

[ -z "${DESTDIR:-}" ] || exit 0
. "$root/packaging/linker.sh"
if searched "$from/$libdir"; then refresh_linker; fi
