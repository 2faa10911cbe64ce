# What the packages say about the library, each from the one place that knows it. Sourced with $root set.
version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
soversion=$(sed -n 's/.*-soname,libtarget_sdk\.so\.\([0-9]*\).*/\1/p' "$root/build.rs")
static_libs=$(cat "$root/packaging/native-static-libs") # tests/install compares it with rustc
static_libs_cmake=$(echo "$static_libs" | sed -e 's/-l//g' -e 's/ /;/g')
pointer_size=$(($(getconf LONG_BIT) / 8))
[ -n "$version" ] && [ -n "$soversion" ] && [ -n "$static_libs" ] || {
  echo "packaging/facts.sh: version, soname or static libraries not found" >&2
  exit 1
}
