#!/bin/sh
# Makes .venv from requirements.lock: nothing but Python 3.11+ and a package index is needed.
# Does nothing when the environment is as the lock says. Safe to interrupt and to run again.
set -eu
cd "$(dirname "$0")"

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/trainstack
stamp=.venv/.lock-sha256
want=$(cat requirements.lock setup.sh | sha256sum | cut -d' ' -f1)
is_made() {
  # Of a Python that was removed, a link that leads nowhere stays.
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && .venv/bin/python -I -S -c '' 2>/dev/null
}
is_made && exit 0
if command -v flock >/dev/null 2>&1; then
  exec 9<requirements.lock
  flock -n 9 || { say "setup: another one is at work in this checkout; waiting"; flock 9; }
  is_made && exit 0
fi

python=
for name in python3.11 python3.12 python3.13 python3; do
  if command -v "$name" >/dev/null 2>&1 &&
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    python=$name
    break
  fi
done
[ -n "$python" ] || fail "no Python 3.11, 3.12 or 3.13 on PATH; install one (Debian: apt-get install python3)"

begin=$(date +%s)
if command -v uv >/dev/null 2>&1; then
  uv=uv
else
  uv=$cache/uv-$(sha256sum bootstrap.lock | cut -c1-12)/bin/uv
  if [ ! -x "$uv" ]; then
    say "setup: getting uv, the package installer"
    mkdir -p "$(dirname "$uv")"
    # A name of its own: another checkout may be at the same. What a killed one left goes, in time.
    find "$cache" -maxdepth 1 -name '.uv-part.*' -mmin +60 -exec rm -rf {} +
    part=$(mktemp -d "$cache/.uv-part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
      [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 ||
        fail "$python has no ensurepip; install it (Debian: apt-get install python3-venv) or uv"
      say "setup: installing python3-venv"
      apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    fi
    "$python" -m venv "$part"
    "$part/bin/python" -m pip install --quiet --require-hashes -r bootstrap.lock
    # A virtual environment may not be moved, but uv's own program is self-contained.
    mv "$part/bin/uv" "$uv"
    rm -rf "$part"
  fi
fi

say "setup: installing $(grep -c '^[a-z]' requirements.lock) locked packages into .venv"
[ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null ||
  "$uv" venv --quiet --clear --python "$(command -v "$python")" .venv
"$uv" pip sync --quiet --require-hashes --python .venv/bin/python requirements.lock
printf '%s\n' "$want" >"$stamp"
say "setup: done in $(($(date +%s) - begin)) s"
