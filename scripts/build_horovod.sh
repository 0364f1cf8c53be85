#!/bin/sh
# Installs Horovod into a virtual environment that has TensorFlow; builds it first where no wheel is cached.
# Usage: scripts/build_horovod.sh [VENV]      (default .venv; `make horovod` does this)
#
# Horovod comes as source only, and 0.28.1 is older than TensorFlow 2.21: it builds unpatched with one
# forwarding header in place of a header that has moved. The wheel is kept under ~/.cache/frcnn/wheels, in
# a folder named after all it was compiled against.
#
# Environment: HOROVOD_GPU_OPERATIONS=NCCL (with HOROVOD_NCCL_HOME, ...) for GPUs; MAKEFLAGS=-j<jobs>;
# XDG_CACHE_HOME, or FRCNN_WHEELS=<folder>, to keep the wheels elsewhere; PIP_OPTIONS for pip's installs.
set -eu

VERSION=0.28.1
BUILD_PACKAGES="cmake g++ make libopenmpi-dev libfarmhash-dev libhighwayhash-dev"
RUN_PACKAGES="openmpi-bin"

say() { echo "horovod: $*" >&2; }

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv}
[ -x "$venv/bin/python" ] || { say "$venv: no virtual environment; run 'make setup' first"; exit 1; }
python=$(cd "$venv/bin" && pwd)/python

tensorflow=$("$python" - <<'PYTHON'
import importlib.metadata

found = {each.metadata["Name"].replace("_", "-"): each.version for each in importlib.metadata.distributions()}
print(next((f"{name}-{found[name]}" for name in ("tensorflow-cpu", "tensorflow") if name in found), ""))
PYTHON
)
[ -n "$tensorflow" ] || { say "no TensorFlow in $venv; run 'make setup' first"; exit 1; }
tag=$("$python" -c 'import sys, sysconfig
print(f"cp{sys.version_info.major}{sys.version_info.minor}-{sysconfig.get_platform()}")')
system=$(. /etc/os-release 2>/dev/null && echo "$ID-${VERSION_ID:-0}") || system=$(uname -s)
cache=${FRCNN_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/frcnn/wheels}
folder=$cache/horovod-$VERSION-$tensorflow-$tag-$system${HOROVOD_GPU_OPERATIONS:+-$HOROVOD_GPU_OPERATIONS}

need() { # need PACKAGE...: installs those that are missing, or says how
  command -v dpkg-query >/dev/null || return 0 # another kind of Linux: the build says what it lacks
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    say "needs packages that are missing; install them and run this again:"
    say "  sudo apt-get install -y --no-install-recommends$missing"
    exit 1
  fi
  say "installing$missing"
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

build() { # leaves the wheel in $folder
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$folder" "$work/shim/tensorflow/compiler/xla/client"
  echo '#include "xla/hlo/builder/xla_builder.h"' \
    >"$work/shim/tensorflow/compiler/xla/client/xla_builder.h"
  # Tools of the build stay out of the environment it builds for, which they see through a .pth file.
  "$python" -m venv "$work/venv"
  tools=$work/venv/bin/python
  "$tools" -m pip install --quiet --disable-pip-version-check \
    'setuptools<81' wheel cloudpickle psutil pyyaml packaging
  purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
  "$python" -c 'import sys; print(*(each for each in sys.path if each.endswith("-packages")), sep="\n")' \
    >"$("$tools" -c "$purelib")/target.pth"
  say "building the wheel, 5 to 15 minutes; log: $folder/build.log"
  if ! env PATH="$work/venv/bin:$PATH" CXXFLAGS="${CXXFLAGS:-} -idirafter $work/shim" \
    MAKEFLAGS="${MAKEFLAGS:--j$(nproc)}" TF_CPP_MIN_LOG_LEVEL=3 \
    HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
    HOROVOD_WITH_MPI=1 HOROVOD_WITH_GLOO=1 \
    "$tools" -m pip wheel --verbose --disable-pip-version-check --no-build-isolation --no-cache-dir \
    --no-deps --no-binary horovod --wheel-dir "$work/wheel" "horovod==$VERSION" >"$folder/build.log" 2>&1
  then
    tail -n 25 "$folder/build.log" >&2
    say "the build failed; everything it said: $folder/build.log"
    exit 1
  fi
  name=$(cd "$work/wheel" && ls horovod-*.whl)
  cp "$work/wheel/$name" "$folder/.unfinished"
  mv "$folder/.unfinished" "$folder/$name"
}

# shellcheck disable=SC2086 # lists of words
need $RUN_PACKAGES
set -- "$folder"/horovod-*.whl
if [ ! -f "$1" ]; then
  # shellcheck disable=SC2086
  need $BUILD_PACKAGES
  build
  set -- "$folder"/horovod-*.whl
fi
# shellcheck disable=SC2086 # options are words
"$python" -m pip install --quiet --disable-pip-version-check ${PIP_OPTIONS:-} \
  --constraint "$root/constraints.txt" cloudpickle psutil pyyaml packaging
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$1"
TF_CPP_MIN_LOG_LEVEL=3 "$python" 2>"$folder/import.log" - <<'PYTHON' || {
import horovod.tensorflow as hvd

built = {"gloo": hvd.gloo_built(), "MPI": hvd.mpi_built(), "NCCL": hvd.nccl_built()}
print("horovod: ready, over", ", ".join(name for name, there in built.items() if there))
PYTHON
  tail -n 5 "$folder/import.log" >&2
  say "installed, but does not load; remove $folder and run this again"
  exit 1
}
