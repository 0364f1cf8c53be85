#!/usr/bin/env bash
# Builds the wheels of both distributions from the tracked files of this checkout: build_wheels.sh PYTHON FOLDER.
# A copy is built, because setuptools leaves build folders next to the sources. PYTHON needs build and setuptools.
set -euo pipefail
python=$(command -v "$1")
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z -- shared pipelines components LICENSE |
  tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$copy"
for distribution in shared pipelines; do
  # frcnn-pipelines lies in two folders of the checkout, which a source distribution cannot hold.
  "$python" -m build --wheel --no-isolation --outdir "$folder" "$copy/$distribution" >"$copy/log" 2>&1 ||
    { cat "$copy/log" >&2; exit 1; }
done
ls "$folder"/*.whl
