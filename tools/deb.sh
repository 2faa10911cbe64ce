#!/bin/sh
# Makes the Debian packages libtarget-sdk0 and libtarget-sdk-dev in target/deb, and checks them: lintian, and (as root or with sudo)
# installed, used and removed again.
#   DEB_MAINTAINER="Name <address>" tools/deb.sh
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
command -v dpkg-deb >/dev/null 2>&1 || { echo "deb: this needs dpkg-deb, on Debian, Ubuntu or the like" >&2; exit 1; }
sh tools/dependencies.sh cc c++ pkg-config readelf lintian
sh tools/portable.sh

. packaging/facts.sh
debian=packaging/debian
deb_version=$version-1
architecture=$(dpkg --print-architecture)
libdir=lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
maintainer=${DEB_MAINTAINER:-The target-sdk authors <target-sdk@localhost.localdomain>}
glibc=$(sh tools/glibc-floor.sh "$target/portable/libtarget_sdk.so" | sed 's/.* //')
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
SOURCE_DATE_EPOCH=$date # dpkg-deb takes the times of the files from it, too
export SOURCE_DATE_EPOCH
to=$target/deb

. tools/work.sh
umask 022

# The library's package has what programs need to run, the other one all the rest.
library=libtarget-sdk$soversion dev=libtarget-sdk-dev
DESTDIR=$work/$dev LIBDIR=$libdir PC_PREFIX=/usr sh packaging/install.sh "$target/portable" /usr > /dev/null
mkdir -p "$work/$library/usr/$libdir"
mv "$work/$dev/usr/$libdir/libtarget_sdk.so.$soversion" "$work/$dev/usr/$libdir/libtarget_sdk.so.$version" "$work/$library/usr/$libdir"
chmod 644 "$work/$library/usr/$libdir/libtarget_sdk.so.$version"
mv "$work/$dev/usr/share/doc/target-sdk" "$work/notices" # at the places of Debian, below

fill() { # TEMPLATE DESTINATION SIZE
  sed -e "s|@SOVERSION@|$soversion|g" -e "s|@DEB_VERSION@|$deb_version|g" -e "s|@ARCHITECTURE@|$architecture|g" \
      -e "s|@MAINTAINER@|$maintainer|g" -e "s|@GLIBC@|$glibc|g" -e "s|@SIZE@|$3|g" "$1" > "$2"
}
package() { # NAME CONTROL_TEMPLATE
  tree=$work/$1
  install -D -m 644 "$debian/copyright" "$tree/usr/share/doc/$1/copyright"
  install -m 644 "$work/notices/NOTICE" "$tree/usr/share/doc/$1/NOTICE"
  printf 'target-sdk (%s) unstable; urgency=medium\n\n  * Version %s.\n\n -- %s  %s\n' "$deb_version" "$version" "$maintainer" \
    "$(LC_ALL=C date -u -R -d "@$date")" | gzip -n -9 > "$tree/usr/share/doc/$1/changelog.Debian.gz"
  chmod 644 "$tree/usr/share/doc/$1/changelog.Debian.gz"
  mkdir "$tree/DEBIAN"
  fill "$debian/$2" "$tree/DEBIAN/control" "$(du -k -s --apparent-size "$tree/usr" | cut -f 1)"
  (cd "$tree" && find usr -type f -exec md5sum {} + | sort -k 2) > "$tree/DEBIAN/md5sums"
}
package "$library" control-library.in
package "$dev" control-dev.in
echo "libtarget_sdk $soversion $library (>= $version)" > "$work/$library/DEBIAN/shlibs"
cp "$debian/symbols" "$work/$library/DEBIAN/symbols"
echo "activate-noawait ldconfig" > "$work/$library/DEBIAN/triggers"

mkdir -p "$to"
for name in "$library" "$dev"; do
  chmod -R u=rwX,go=rX "$work/$name/DEBIAN"
  dpkg-deb --root-owner-group -Zxz --build "$work/$name" "$to/${name}_${deb_version}_$architecture.deb" > /dev/null
done
library_deb=$to/${library}_${deb_version}_$architecture.deb dev_deb=$to/${dev}_${deb_version}_$architecture.deb

. tools/check.sh
symbols() { # the list of the package is that of the library
  nm -D --defined-only "$work/$library/usr/$libdir/libtarget_sdk.so.$version" | awk '{ print $NF }' | sort > "$work/exported"
  sed -n 's/^ \(.*\)@Base .*/\1/p' "$debian/symbols" | sort | diff "$work/exported" -
  grep -q "^libtarget_sdk.so.$soversion $library " "$debian/symbols"
}
# The package is built here from an unpublished version, for nobody's archive: no bug to close, and a maintainer without an address.
lint() {
  lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog \
    "$library_deb" "$dev_deb"
}
contents() {
  dpkg-deb -c "$library_deb" | grep -q "/usr/$libdir/libtarget_sdk.so.$soversion -> libtarget_sdk.so.$version"
  for file in include/target_sdk.h include/target_sdk.hpp "$libdir/libtarget_sdk.a" "$libdir/libtarget_sdk.so" \
              "$libdir/pkgconfig/target-sdk.pc" "$libdir/cmake/TargetSdk/TargetSdkConfig.cmake"; do
    dpkg-deb -c "$dev_deb" | grep -q "/usr/$file\( \|\$\)" || { echo "$file is missing"; return 1; }
  done
  [ "$(dpkg-deb -f "$library_deb" Depends)" = "libc6 (>= $glibc)" ]
}
check "symbols" symbols
check "contents" contents
check "lintian" lint

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -q '^installed$'; }
used() { # by programs that know nothing but pkg-config and CMake, in the system's own places
  unset LD_LIBRARY_PATH PKG_CONFIG_PATH PKG_CONFIG_LIBDIR
  [ "$(pkg-config --modversion target-sdk)" = "$version" ]
  # shellcheck disable=SC2046 # lists of words
  cc -o "$work/c" tests/install/main.c $(pkg-config --cflags --libs target-sdk)
  # shellcheck disable=SC2046
  c++ -std=c++17 -o "$work/cpp" tests/install/main.cpp $(pkg-config --cflags --libs target-sdk)
  # shellcheck disable=SC2046
  cc -o "$work/static" tests/install/main.c $(pkg-config --cflags --libs target-sdk-static)
  cmake -S tests/install -B "$work/cmake" > /dev/null
  cmake --build "$work/cmake" > /dev/null
  for program in "$work/c" "$work/cpp" "$work/static" "$work/cmake/with_shared" "$work/cmake/with_static"; do
    [ "$("$program")" = "$version TARGET_OK" ] || { echo "$program said: $("$program")"; return 1; }
  done
  ldd "$work/c" | grep -q "/$libdir/libtarget_sdk.so.$soversion"
}
purge() {
  $sudo dpkg --purge "$dev" "$library"
  left=$(find "/usr/$libdir" /usr/include /usr/share/doc \( -name '*target_sdk*' -o -name '*target-sdk*' -o -name TargetSdk \))
  [ -z "$left" ] || { echo "left behind: $left"; return 1; }
  if ldconfig -p | grep -q libtarget_sdk; then echo "still in the cache of ldconfig"; return 1; fi
}
if [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; then
  echo "SKIPPED: installing the packages needs root or sudo"
elif installed "$library" || installed "$dev"; then
  echo "SKIPPED: these packages are installed on this machine; they are left alone"
else
  sh tools/dependencies.sh cmake
  install_them() { $sudo dpkg -i "$library_deb" "$dev_deb"; }
  # Whatever happens, the machine ends as it began.
  at_end() { $sudo dpkg --purge "$dev" "$library" > /dev/null 2>&1 || true; }
  check "installs" install_them
  check "programs in C and C++ with pkg-config and CMake" used
  check "purges, and leaves nothing" purge
fi

echo "deb: $passed passed, $failed failed"
[ "$failed" = 0 ]
ls -l "$library_deb" "$dev_deb"
