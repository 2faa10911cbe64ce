# What the system's dynamic linker knows of the folder that libraries are installed in. Sourced.
PATH=$PATH:/usr/sbin:/sbin # for ldconfig, which is not on every user's path

searched() { # FOLDER: whether the linker's configuration names it
  wanted=$(cd "$1" 2>/dev/null && pwd -P) || return 1
  for folder in $(ldconfig -NXv 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p'); do
    [ "$(cd "$folder" 2>/dev/null && pwd -P)" != "$wanted" ] || return 0
  done
  return 1
}
# The linker goes by a list that ldconfig makes; only root can make it.
refresh_linker() {
  if [ "$(id -u)" != 0 ]; then
    echo "run 'ldconfig' as root: programs find (or no longer find) the library after that"
  elif ! ldconfig; then
    echo "ldconfig failed: run it again, so that programs find (or no longer find) the library" >&2
  fi
}
