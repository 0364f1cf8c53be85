#!/bin/sh
# Installs what the container tests need: a Docker daemon, and debootstrap for the base image (Debian, as root).
# Usage: scripts/install_docker.sh       (`make docker` does this)
set -eu

say() { echo "docker: $*" >&2; }

missing=""
for each in dockerd:docker.io docker:docker.io debootstrap:debootstrap ssh-keygen:openssh-client; do
  command -v "${each%%:*}" >/dev/null || missing="$missing ${each#*:}"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "install these and run this again:$missing"
    exit 1
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # packages are words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
say "ready: $(dockerd --version)"
