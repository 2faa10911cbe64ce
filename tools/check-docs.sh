#!/bin/sh
# Compares the documentation with the sources: keys, options, events, statuses, links.
set -eu

cd "$(dirname "$0")/.."
passed=0 failed=0
expect() { # WHAT LIST FILE PATTERN...: each word of LIST is in FILE, in a pattern with @ for the word
  what=$1 list=$2 file=$3 pattern=$4
  [ -n "$list" ] || { echo "FAILED: $what: nothing found in the sources"; failed=$((failed + 1)); return; }
  for word in $list; do
    if grep -q -e "$(printf '%s' "$pattern" | sed "s/@/$word/g")" "$file"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "FAILED: $file does not describe the $what $word"
    fi
  done
}
# The strings of a Rust list that begins at a line with a pattern.
list() { sed -n "/$1/,/];/p" "$2" | grep -o '"[A-Za-z]*"' | tr -d '"'; }

expect "configuration key" "$(list 'const KEYS' core/src/config/parse.rs)" docs/configuration.md '^| `@`'
expect "call option" "$(list 'const KEYS' core/src/delivery/options.rs)" docs/configuration.md '^| `@`'
events=$(grep -rhoE '(EventWriter::new|self\.emit)\("[a-zA-Z]+"' core/src/client/life.rs core/src/client/local.rs \
  core/src/client/notifier/mod.rs core/src/artifact/mod.rs core/src/artifact/load.rs | sed 's/.*"\(.*\)"/\1/' | sort -u)
expect "event" "$events" docs/configuration.md '^| `@`'
statuses=$(sed -n 's/^pub const \(TARGET_[A-Z_]*\): target_status = \(.*\);/\2:\1/p' src/ffi/status.rs)
for status in $statuses; do
  expect "status" "${status#*:}" docs/errors.md "^| ${status%%:*} | \`@\`"
done
phases=$(sed -n 's/.*Phase::[A-Za-z]* => "\(.*\)",/\1/p' core/src/error.rs)
expect "phase" "$phases" docs/errors.md '`@`'

# Links between files of the repository, and to headings within one page.
for page in *.md docs/*.md examples/*/README.md bindings/*/README.md; do
  for link in $(sed '/^```/,/^```/d' "$page" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//'); do
    case $link in
      http*) continue ;;
      '#'*) heading=$(printf '%s' "${link#?}" | tr '-' ' ')
            found=$(sed -n 's/^##* //p' "$page" | tr 'A-Z' 'a-z' | tr '-' ' ' | tr -d ':`' | grep -c -x "$heading" || true) ;;
      *) [ ! -e "$(dirname "$page")/${link%%#*}" ] && found=0 || found=1 ;;
    esac
    if [ "$found" != 0 ]; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "FAILED: $page links to $link, which is not there"
    fi
  done
done

# The tests that hold what is guaranteed.
for test in $(sed -n 's/^| .* | \(.*\) |$/\1/p' docs/guarantees.md | grep -o '`[^`]*/[^`]*`' | tr -d '`' | grep -v '^cargo\|^sh\|^make' | sort -u); do
  file=${test%%::*}
  name=${test#"$file"}
  if [ -e "$file" ] && { [ -z "$name" ] || grep -q "\b${name#::}\b" "$file"; }; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: docs/guarantees.md names the test $test, which is not there"
  fi
done

echo "docs: $passed passed, $failed failed"
[ "$failed" = 0 ]
