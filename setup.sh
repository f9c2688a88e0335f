#!/bin/sh
# Makes .venv from requirements.lock: nothing but Python 3.11+ and a package index is needed.
# Does nothing when the environment is as the lock says. Safe to interrupt and to run again.
# What it calls is in POSIX and on macOS; what Python can do, Python does.
set -eu
unset CDPATH
cd "$(dirname "$0")"

log=.setup.log
stamp=.venv/.made-from
say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }

# The whole text, not its hash: no two systems agree on a program for hashes. The folder is in it
# because the scripts in .venv/bin name it: those of a copy would start the original's Python.
made_from() { pwd -P && cat requirements.lock setup.sh; }
is_made() {
  # Of a Python that was removed, a link that leads nowhere stays.
  [ -s "$stamp" ] && [ "$(cat "$stamp")" = "$(made_from)" ] &&
    .venv/bin/python -I -S -c '' 2>/dev/null
}
# In a subshell, which a failed redirection may end.
writable() { (: >"$1/.writable.$$") 2>/dev/null && rm -f "$1/.writable.$$"; }
has_room() {
  set -- "$1/.room.$$" requirements.lock
  { cat "$2" "$2" "$2" "$2" "$2" "$2" "$2" "$2" >"$1" && rm "$1"; } 2>/dev/null ||
    { rm -f "$1"; return 1; }
}
# Says in one line why a tool failed: by what it left in the log, if that could be written.
explain() {
  for folder in "$(pwd -P)" "$cache"; do
    has_room "$folder" || fail "$1 failed: the disk is full: make room in $folder, then try again"
  done
  case $(cat "$log") in
    *"No space left"* | *"os error 28"* | *"uota exceeded"*)
      why="the disk is full: make room (also in ${TMPDIR:-/tmp}), then the same again" ;;
    *"Read-only file system"* | *"Permission denied"* | *"os error 13"* | *"os error 30"*)
      why="a folder cannot be written: let this user write it; another cache: XDG_CACHE_HOME" ;;
    *"ash mismatch"* | *"DO NOT MATCH THE HASHES"*)
      why="the index serves another file than the lock names: try again, or set PIP_INDEX_URL" ;;
    *ertificate* | *CERTIFICATE*)
      why="the index's certificate is not trusted: name your network's CA bundle in PIP_CERT"
      why="$why and SSL_CERT_FILE" ;;
    *"401 "* | *"403 "* | *"407 "*)
      why="the index or the proxy refuses access: see PIP_INDEX_URL, HTTPS_PROXY" ;;
    *onnect* | *"imed out"* | *imeout* | *"dns error"* | *"sending request"* | *etwork* | *roxy*)
      why="no package index answers: check the network, or set PIP_INDEX_URL to one that does"
      why="$why, HTTPS_PROXY to a proxy, then the same again" ;;
    *"No matching distribution"* | *"no wheels"* | *"o solution found"*)
      why="the index has not all that this machine needs: set PIP_INDEX_URL to another" ;;
    *) why="the same again may help" ;;
  esac
  fail "$1 failed: $why. What it said: $log"
}
# Until all is done the stamp says only for which folder .venv is.
begin_stamp() { made_from >"$stamp.part" && pwd -P >"$stamp"; }
# Our own code is found from any folder, and under PYTHONSAFEPATH, as if it were installed.
name_checkout() {
  for site in .venv/lib/python3*/site-packages; do
    [ ! -d "$site" ] || pwd -P >"$site/trainstack.pth" || return
  done
}
run() { what=$1; shift; "$@" >>"$log" 2>&1 || explain "$what"; }

[ -r requirements.lock ] && [ -r bootstrap.lock ] ||
  fail "requirements.lock or bootstrap.lock cannot be read: get it back with \`git checkout .\`"
is_made && exit 0

python=
for name in python3.11 python3.12 python3.13 python3; do
  if command -v "$name" >/dev/null 2>&1 &&
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    python=$name
    break
  fi
done
[ -n "$python" ] ||
  fail "no Python 3.11, 3.12 or 3.13 on PATH; install one (Debian: apt-get install python3)"

exec 9<requirements.lock
# The lock is on the open file, so it stays when this Python ends and goes when the shell does.
"$python" -c '
import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("setup: another one is at work in this checkout; waiting", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # a file system without locks
' || exit 1
is_made && exit 0

part=
half=
clean() { if [ -n "$part$half" ]; then rm -rf ${part:+"$part"} ${half:+"$half"}; fi; }
trap clean EXIT
trap 'say "setup: interrupted; the same again goes on"; exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

(umask 077 && : >"$log") 2>/dev/null ||
  fail "$(pwd -P) cannot be written: let this user write it, or work in a copy of your own"
[ ! -d .venv ] || writable .venv ||
  fail "$(pwd -P)/.venv cannot be written (another user's?): delete it, then the same again"
[ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] ||
  fail "neither HOME nor XDG_CACHE_HOME is set: set XDG_CACHE_HOME to a folder for downloads"
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/trainstack
mkdir -p "$cache" 2>/dev/null && writable "$cache" ||
  fail "the cache $cache cannot be written: let this user write it, or set XDG_CACHE_HOME"

# One variable names the index for both installers; neither tries for long, unless told to.
index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-}}}
if [ -n "$index" ]; then
  export PIP_INDEX_URL="${PIP_INDEX_URL:-$index}" UV_DEFAULT_INDEX="$index"
fi
export PIP_RETRIES="${PIP_RETRIES:-1}" PIP_DEFAULT_TIMEOUT="${PIP_DEFAULT_TIMEOUT:-10}"
export UV_HTTP_RETRIES="${UV_HTTP_RETRIES:-1}" UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-20}"

if command -v uv >/dev/null 2>&1; then
  uv=uv
else
  read -r uv_version _ <bootstrap.lock # the line `uv==0.13.9 \`, whose backslash -r keeps
  uv=$cache/uv-${uv_version#*==}/bin/uv
  if ! "$uv" --version >/dev/null 2>&1; then # or is another machine's, in a shared home folder
    say "setup: getting uv, the package installer (waits $PIP_DEFAULT_TIMEOUT s for an answer)"
    # A name of its own: another checkout may be at the same. What a killed one left goes, in time.
    find "$cache" -maxdepth 1 -name '.uv-part.*' -mmin +60 -exec rm -rf {} + 2>/dev/null || :
    part=$cache/.uv-part.$$
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 ||
        fail "$python has no ensurepip; install it (Debian: apt-get install python3-venv) or uv"
      say "setup: installing python3-venv"
      run "apt-get update" apt-get update -qq
      run "apt-get install python3-venv" apt-get install -y -qq python3-venv
    fi
    run "$python -m venv" "$python" -m venv "$part"
    run "getting uv" "$part/bin/python" -m pip install --quiet --disable-pip-version-check \
      --require-hashes -r bootstrap.lock
    # A virtual environment may not be moved, but uv's own program is self-contained.
    run "keeping uv" mkdir -p "${uv%/uv}"
    run "keeping uv" mv -f "$part/bin/uv" "$uv"
    rm -rf "$part"
  fi
fi

made_for=
if [ -r "$stamp" ]; then read -r made_for <"$stamp" || :; fi
if [ -n "$made_for" ] && [ "$made_for" != "$(pwd -P)" ]; then
  say "setup: .venv was made for $made_for; making it anew"
fi
if [ "$made_for" != "$(pwd -P)" ] || ! .venv/bin/python -c '' 2>/dev/null; then
  half=.venv
  run "uv venv" "$uv" venv --quiet --clear --python "$(command -v "$python")" .venv
fi
run "writing the stamp" begin_stamp
say "setup: installing the locked packages into .venv (waits $UV_HTTP_TIMEOUT s for an answer)"
run "uv pip sync" "$uv" pip sync --quiet --require-hashes --python .venv/bin/python \
  requirements.lock
run "naming the checkout" name_checkout
run "writing the stamp" mv -f "$stamp.part" "$stamp"
half=
rm -f "$log"
say "setup: done"
