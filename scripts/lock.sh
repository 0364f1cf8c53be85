#!/bin/sh
# Writes locks/: the versions of constraints.txt with the hashes of their files, for Python 3.11 to 3.13.
# Usage: scripts/lock.sh [VENV]      (default .venv; `make lock` does this)
#
# cpu.txt and gpu.txt have what `make setup` installs, for either build of TensorFlow; the two exclude each other.
# Each image installs its part of one of them (components/base/install_packages.py).
# cpu-run.txt and gpu-run.txt have the part of it that `make demo` uses.
# build.txt has what builds packages that come as source, and the project itself; it is installed first.
# tensorrt-stubs.txt is installed without what it requires. Environment: UV_DEFAULT_INDEX for another package index.
set -eu

cd "$(dirname "$0")/.."
venv=${1:-.venv}
run="convert train evaluate inference export pipeline" # what the pipeline and `make demo` use
extras="$run data tune openvino docs dev"

compile() { # compile FILE WORDS...: no header and no source of a package, which would name this machine's index
  file=$1
  shift
  [ ! -f "$file" ] || cp "$file" "$file.part" # versions that constraints.txt does not name stay as they are
  "$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --constraint constraints.txt --output-file "$file.part" "$@"
  { echo "# Made by: make lock. Versions: constraints.txt."; cat "$file.part"; } >"$file"
  rm "$file.part"
}

mkdir -p locks
compile locks/build.txt locks/build.in
for build in cpu gpu; do
  # Word splitting is meant: one --extra for each.
  # shellcheck disable=SC2046
  compile "locks/$build-run.txt" $(printf ' --extra %s' "$build" $run) shared/pyproject.toml locks/build.in
  # shellcheck disable=SC2046
  compile "locks/$build.txt" $(printf ' --extra %s' "$build" $extras) shared/pyproject.toml locks/build.in
done
echo tensorrt-stubs | compile locks/tensorrt-stubs.txt --no-deps -
