#!/bin/sh
# Removes what install.sh installed:  uninstall.sh PREFIX   (DESTDIR as there)
set -eu

prefix=${1:?usage: uninstall.sh PREFIX}
root=$(cd "$(dirname "$0")/.." && pwd)
from=${DESTDIR:-}$prefix
. "$root/packaging/facts.sh"

for file in "lib/libtarget_sdk.so.$version" "lib/libtarget_sdk.so.$soversion" lib/libtarget_sdk.so lib/libtarget_sdk.a \
            include/target_sdk.h include/target_sdk.hpp lib/pkgconfig/target-sdk.pc lib/pkgconfig/target-sdk-static.pc \
            lib/cmake/TargetSdk/TargetSdkConfig.cmake lib/cmake/TargetSdk/TargetSdkConfigVersion.cmake \
            share/doc/target-sdk/LICENSE share/doc/target-sdk/NOTICE; do
  rm -f "$from/$file"
done
# Only the directories that are the library's own, and only when nobody put anything else there.
for directory in lib/cmake/TargetSdk share/doc/target-sdk; do
  [ ! -d "$from/$directory" ] || rmdir --ignore-fail-on-non-empty "$from/$directory"
done
echo "removed target-sdk from $from"
