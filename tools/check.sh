# For scripts that look at several things: counts what holds and what does not. Read with `.`, after `work` names a folder.

passed=0 failed=0
# A check is no condition here, so that -e works inside it (a shell ignores it in conditions).
check() { # NAME FUNCTION
  set +e
  (set -e; "$2") > "$work/out" 2>&1
  code=$?
  set -e
  if [ "$code" = 0 ]; then
    passed=$((passed + 1))
    echo "ok: $1"
  else
    failed=$((failed + 1))
    echo "FAILED: $1"
    tail -40 "$work/out" | sed 's/^/    /'
  fi
}
