#!/bin/sh
# Builds the library for distribution: release profile, for glibc 2.28 and newer, whatever glibc this machine has.
#
#   tools/portable.sh [DIRECTORY]      (target/portable)
#
# leaves libtarget_sdk.so and libtarget_sdk.a in DIRECTORY. `make dist`, `make deb` and `make wheel` package these files; each calls
# this script, which builds nothing when nothing changed.
#
# The glibc of the machine decides which symbol versions a linker writes. Zig's linker knows the symbols of every glibc since 2.17, so no
# old system is needed. It comes from PyPI, into a virtual environment under target/.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
to=${1:-$target/portable}
glibc=2.28

cd "$root"
sh tools/dependencies.sh cc readelf
tools=$target/tools/zig
if [ ! -x "$tools/bin/cargo-zigbuild" ] || ! "$tools/bin/python" -c 'import ziglang' 2>/dev/null; then
  echo "installing zig and cargo-zigbuild from PyPI into $tools"
  python3 -c 'import ensurepip, venv' 2>/dev/null || sh tools/dependencies.sh python3-venv
  python3 -m venv --clear "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check cargo-zigbuild==0.24.0 ziglang==0.17.0
fi

host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
  *-linux-gnu) ;;
  *) echo "portable: made for Linux with glibc, not for $host" >&2; exit 1 ;;
esac

# Messages of panics and assertions name source files: shorten what says where this machine keeps them.
sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
rustflags="${RUSTFLAGS:-} --remap-path-prefix=$sources=registry --remap-path-prefix=$root=target-sdk"
cflags="${CFLAGS:-} -ffile-prefix-map=$sources=registry -g0"
# A directory of its own: the same triple with another linker must not share files with `make build`.
PATH=$tools/bin:$PATH RUSTFLAGS=$rustflags CFLAGS=$cflags CARGO_TARGET_DIR=$target/portable-build \
  cargo zigbuild --release --package target-sdk --target "$host.$glibc"

mkdir -p "$to"
for file in libtarget_sdk.so libtarget_sdk.a; do
  # Copied beside and renamed: a program that has the old file mapped keeps it.
  cp "$target/portable-build/$host/release/$file" "$to/$file.new"
  mv "$to/$file.new" "$to/$file"
done
sh tools/glibc-floor.sh "$to/libtarget_sdk.so" "$glibc"
