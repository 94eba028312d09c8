# What keeps the agent and the lazy engine small; sourced by their launchers with $node, $root, $name, and in $programs
# the programs whose code every process and thread of theirs loads. Sets $flags for Node.js.
#
# Node.js strips the types from its sources with a WebAssembly module that each thread loads for itself, 20 MB each time,
# unless it finds what it made before in a cache. Threads that come and go with that module also crash V8, once in some
# hundred (Node.js 24.21, v8::internal::Runtime_TierUpWasmToJSWrapper): with the cache none loads it. Whoever could write there would have root run their code, so that
# directory must be of this user or root with all that is in it, and no one else may change it or what it lies in.

# Nurseries of 1 MiB: most of what larger ones hold between two collections is garbage.
flags=--max-semi-space-size=1
# One heap for all threads; with one each, what a thread freed stays its own.
export MALLOC_ARENA_MAX=1

# Only a cache that was looked at here.
unset NODE_COMPILE_CACHE
# CARGO_CODE_CACHE: another directory, or empty for none.
cache=${CARGO_CODE_CACHE-/var/cache/cargo}

holds_only_ours() {
  [ -d "$1" ] && [ -z "$(find "$1" \( ! \( -uid 0 -o -uid "$(id -u)" \) -o -perm /022 \) -print -quit 2>&1)" ]
}

# In a directory with the sticky bit nobody renames what is another's.
lies_safely() {
  dir=$(dirname -- "$1")
  set --
  while set -- "$dir" "$@" && [ "$dir" != / ]; do dir=$(dirname -- "$dir"); done
  safe='-type d ( -uid 0 -o -uid '$(id -u)' ) ( ! -perm /022 -o -perm -1000 )'
  # shellcheck disable=SC2086 # words of a command
  [ -z "$(find "$@" -maxdepth 0 ! \( $safe \) 2>&1)" ]
}

# The code of one installation is kept anew when any of it has changed since, if only by being unpacked.
is_filled() {
  [ -e "$1" ] && [ -z "$(find "$root/src" "$root/bin" "$node" -cnewer "$1" -print -quit)" ]
}

fill() {
  : >"$1.new"
  # Some of them complain that this is no way to be started, when all is loaded: that is all that is wanted here.
  for program in $programs; do
    NODE_COMPILE_CACHE=$cache "$node" $flags "$root/src/$program" --version >/dev/null 2>&1 || true
  done
  mv -- "$1.new" "$1"
}

if [ -n "$cache" ]; then
  (umask 077 && mkdir -p -- "$cache") 2>/dev/null || true
  cache=$(readlink -f -- "$cache")
  if ! { holds_only_ours "$cache" && lies_safely "$cache"; }; then
    # Anybody may ask for --help; only root's processes stay.
    [ "$(id -u)" != 0 ] ||
      echo "$name: goes without a cache of compiled code and takes more memory, and may crash and be restarted: $cache can't be made, or others may change it" >&2
  else
    stamp=$cache/$name-$(printf %s "$root" | cksum | cut -d ' ' -f 1)
    is_filled "$stamp" || (umask 077 && fill "$stamp") 2>/dev/null || true
    export NODE_COMPILE_CACHE="$cache"
  fi
fi
