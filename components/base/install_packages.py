#!/bin/sh
# Installs the packages that the extras EXTRAS of frcnn require, for an image.
# PIP_OPTIONS are further options of pip, such as --no-index --find-links DIR for builds without a network.
set -eu
# shellcheck disable=SC2086 # options are words
exec /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check ${PIP_OPTIONS:-} \
  --constraint constraints.txt "./shared[${EXTRAS}]"
