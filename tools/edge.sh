# Starting and ending a local edge for a script, which also gets the folder of work.sh. Sourced; needs $edge (the binary).
#   start_edge ARGUMENTS...   sets $address to HOST:PORT
#   stop_edge                 ends that process and no other, as the end of the script does
. tools/work.sh
edge_pid=
at_end() { stop_edge; }

start_edge() {
  : > "$work/edge.out" # there before it is read
  "$edge" --port 0 "$@" > "$work/edge.out" 2> "$work/edge.err" &
  edge_pid=$!
  tries=0
  while :; do
    address=$(sed -n 's#^target-edge listening on http://\([^/]*\).*#\1#p' "$work/edge.out")
    [ -z "$address" ] || return 0
    if [ "$tries" -ge 100 ] || ! kill -0 "$edge_pid" 2>/dev/null; then
      echo "the local edge did not start:" >&2
      cat "$work/edge.err" >&2
      return 1
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
}

stop_edge() {
  [ -n "$edge_pid" ] || return 0
  kill "$edge_pid" 2>/dev/null || true
  wait "$edge_pid" 2>/dev/null || true
  edge_pid=
}
