#!/usr/bin/env bash
# Builds the images of all steps and prints their sizes; `make images` runs it.
#   ENGINE         docker or podman (default: whichever is installed)
#   FRCNN_REGISTRY, TAG   names: $FRCNN_REGISTRY/frcnn-<step>:$TAG, as `frcnn pipeline compile` writes them
#   STEPS          images to build (default: all)
#   EXTRAS_GPU=1   TensorFlow for GPUs in place of the one for CPUs
#   BASE, TRAIN_BASE, BUILD_BASE, PIP_OPTIONS, BUILD_OPTIONS, FRCNN_WHEELS   for builds without a registry or
#                  a network; TRAIN_BASE has mpirun, ssh and sshd
set -euo pipefail
cd "$(dirname "$0")/.."

engine=${ENGINE:-$(command -v docker || command -v podman || true)}
[ -n "$engine" ] || { echo "no docker and no podman found: install one, or name it: make images ENGINE=..." >&2; exit 1; }
tag=${TAG:-0.1.0}
prefix=${FRCNN_REGISTRY:+${FRCNN_REGISTRY%/}/}
steps=${STEPS:-convert train evaluate inference prune export publish}

build() { # build FOLDER IMAGE OPTIONS...
  local folder=$1 image=$2
  shift 2
  echo "building $image" >&2
  # shellcheck disable=SC2086  # BUILD_OPTIONS are words
  "$engine" build ${BUILD_OPTIONS:-} "$@" -f "components/$folder/Dockerfile" -t "$image" . >&2
}

# What the images share; these two are not pushed anywhere.
build_image="frcnn-build:$tag" run_image="frcnn-run:$tag" train_run_image="frcnn-run:$tag"
build base "$build_image" --target build ${BASE:+--build-arg "BASE=$BASE"} \
  ${BUILD_BASE:+--build-arg "BUILD_BASE=$BUILD_BASE"} ${PIP_OPTIONS:+--build-arg "PIP_OPTIONS=$PIP_OPTIONS"}
build base "$run_image" --target run ${BASE:+--build-arg "BASE=$BASE"}
if [ -n "${TRAIN_BASE:-}" ]; then
  train_run_image="frcnn-run-train:$tag"
  build base "$train_run_image" --target run --build-arg "BASE=$TRAIN_BASE"
fi

sizes=()
for step in $steps; do
  image="${prefix}frcnn-$step:$tag"
  runs_in=$run_image
  [ "$step" != train ] || runs_in=$train_run_image
  options=(--build-arg "BUILD_IMAGE=$build_image" --build-arg "RUN_IMAGE=$runs_in")
  if [ "$step" = train ] && [ -n "${FRCNN_WHEELS:-}" ]; then
    options+=(--build-arg "FRCNN_WHEELS=$FRCNN_WHEELS")
  fi
  [ -z "${PIP_OPTIONS:-}" ] || options+=(--build-arg "PIP_OPTIONS=$PIP_OPTIONS")
  if [ -n "${EXTRAS_GPU:-}" ]; then
    extras=$(sed -n 's/^ARG EXTRAS=//p' "components/$step/Dockerfile")
    options+=(--build-arg "EXTRAS=${extras/cpu/gpu}")
  fi
  build "$step" "$image" "${options[@]}"
  sizes+=("$(printf '%-50s %6d MB' "$image" "$(($("$engine" image inspect --format '{{.Size}}' "$image") / 1000000))")")
done
printf '%s\n' "${sizes[@]}"
