#!/bin/sh
# Installs the named system tools that are missing:  dependencies.sh cc c++ pkg-config cmake valgrind
# Uses apt-get where there is one, as root or with sudo; elsewhere it says what to install.
set -eu

packages=
for tool in "$@"; do
  command -v "$tool" >/dev/null 2>&1 && continue
  # Not a program: sources, from which the tests make locales.
  [ "$tool" = locales ] && [ -d /usr/share/i18n/locales ] && continue
  case $tool in
    gtest)
      [ ! -f /usr/include/gtest/gtest.h ] || continue
      packages="$packages libgtest-dev" ;;
    clang++) packages="$packages clang" ;;
    cc | make) packages="$packages build-essential" ;;
    c++) packages="$packages g++" ;;
    chromedriver) packages="$packages chromium-driver" ;;
    readelf | nm) packages="$packages binutils" ;;
    llvm-profdata-*) packages="$packages llvm-${tool##*-}" ;;
    *) packages="$packages $tool" ;;
  esac
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "please install:$packages" >&2
  exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "please install, as root:$packages" >&2; exit 1; }
  sudo=sudo
fi
echo "installing:$packages"
# The package lists may be missing or old: then fetch them and try once more.
# shellcheck disable=SC2086 # a list of words
if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null 2>&1; then
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages >/dev/null
fi
