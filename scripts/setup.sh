#!/usr/bin/env bash
# Sets up whatever is missing on a Debian 12 machine, for one purpose: `setup.sh run`, `test`, `bench` or `prompts`.
# Safe to call again: what is there is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:?say what for: run, test, bench or prompts}

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

needed=(cmake make gcc)
case "$purpose" in
  run) ;;
  test) needed+=(baresip-core sip-tester chromium firefox-esr coturn kamailio postgresql) ;;
  bench) needed+=(sip-tester chromium janus) ;;
  prompts) needed+=(espeak-ng flite sox) ;;
  *) fail "there is nothing to set up for \"$purpose\"" ;;
esac

missing=()
for package in "${needed[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "please install: ${missing[*]} (no apt-get here to do it)"
  root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "please install as root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "Installing Debian packages: ${missing[*]}"
  "${root[@]}" apt-get update -q
  # A database or gateway that Debian would start as a service is not wanted: tests start their own on loopback.
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed; this is $(python3 --version)"
command -v cargo >/dev/null || fail "Rust is needed: install rustup, or Debian's rustup package, then run this again"
command -v npm >/dev/null || fail "Node.js 20 with npm is needed"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || fail "Node.js 20 or later is needed; this is $(node --version)"

if [ ! -x .venv/bin/python ]; then
  say "Making the Python environment"
  python3 -m venv .venv
fi
if [ ! -e .venv/installed ] || [ requirements.lock -nt .venv/installed ] || [ pyproject.toml -nt .venv/installed ]; then
  say "Installing Python packages"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
  touch .venv/installed
fi
