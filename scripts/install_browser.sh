#!/bin/sh
# Installs what the browser tests need: Chromium and its driver (Debian), and axe-core (npm) under the user's cache.
# Usage: scripts/install_browser.sh       (`make browser` does this)
set -eu

AXE_VERSION=4.14.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/frcnn/npm

say() { echo "browser: $*" >&2; }

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "install these and run this again: chromium chromium-driver"
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null
fi
if ! grep -qs "\"version\": \"$AXE_VERSION\"" "$cache/node_modules/axe-core/package.json"; then
  command -v npm >/dev/null || { say "npm is missing; it brings axe-core"; exit 1; }
  mkdir -p "$cache"
  npm install --silent --no-fund --no-audit --prefix "$cache" "axe-core@$AXE_VERSION"
fi
say "ready: $(chromium --version 2>/dev/null), axe-core $AXE_VERSION"
