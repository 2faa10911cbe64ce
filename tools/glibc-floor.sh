#!/bin/sh
# Says which glibc a library or program needs, and fails if that is newer than MAX:  glibc-floor.sh FILE [MAX]
set -eu

file=${1:?usage: glibc-floor.sh FILE [MAX]}
max=${2:-}
versions=$(readelf --version-info --wide "$file" | grep -o 'Name: GLIBC_[0-9.]*' | sed 's/.*GLIBC_//' | sort -u -V)
[ -n "$versions" ] || { echo "$file: no versions of glibc found" >&2; exit 1; }
floor=$(echo "$versions" | tail -1)
echo "$file needs glibc $floor"
[ -z "$max" ] || [ "$(printf '%s\n%s\n' "$floor" "$max" | sort -V | tail -1)" = "$max" ] || {
  echo "that is newer than $max:" >&2
  readelf --dyn-syms --wide "$file" | grep -F "GLIBC_$floor" >&2
  exit 1
}
