#!/bin/sh
# Builds tests/kube/katib, Katib's own code as the judge of our Experiments; prints the program's name.
#   --where   only prints where the program is, or would be
# Needs Go 1.26 or later, and some minutes of CPU time. `make test-kube` then runs tests/kube/test_katib.py, too.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
version=$(cat "$here"/tests/kube/katib/go.mod "$here"/tests/kube/katib/*.go | sha256sum | cut -c1-12)
judge="${XDG_CACHE_HOME:-$HOME/.cache}/frcnn/kube/katib-judge-$version"
if [ "${1:-}" = --where ] || [ -x "$judge" ]; then echo "$judge"; exit; fi
command -v go >/dev/null || { echo "go not found: install Go 1.26 or later" >&2; exit 1; }
mkdir -p "$(dirname "$judge")"
(cd "$here/tests/kube/katib" && go build -trimpath -o "$judge" .)
echo "$judge"
