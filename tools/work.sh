# A folder for what a script makes on its way, gone however the script ends. Sourced; sets $work. Who has more to clean up defines
# at_end again.
work=$(mktemp -d)
at_end() { :; }
trap 'at_end; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
