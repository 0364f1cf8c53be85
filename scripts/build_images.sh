#!/usr/bin/env bash
# Builds the images of all steps and prints their sizes; `make images` runs it.
#   ENGINE         docker or podman (default: whichever is installed)
#   FRCNN_REGISTRY, TAG   names: $FRCNN_REGISTRY/frcnn-<step>:$TAG, as `frcnn pipeline compile` writes them
#   EXTRAS_GPU=1   TensorFlow for GPUs in place of the one for CPUs
#   BASE, TRAIN_BASE, BUILD_BASE, PIP_OPTIONS, BUILD_OPTIONS, FRCNN_WHEELS   for builds without a registry or
#                  a network; TRAIN_BASE has mpirun, ssh and sshd
set -euo pipefail
cd "$(dirname "$0")/.."

engine=${ENGINE:-$(command -v docker || command -v podman || true)}
[ -n "$engine" ] || { echo "no docker and no podman found: install one, or name it: make images ENGINE=..." >&2; exit 1; }
tag=${TAG:-0.1.0}
prefix=${FRCNN_REGISTRY:+${FRCNN_REGISTRY%/}/}

sizes=()
for step in convert train evaluate inference prune export publish; do
  image="${prefix}frcnn-$step:$tag"
  options=()
  base=${BASE:-}
  [ "$step" != train ] || base=${TRAIN_BASE:-$base}
  [ -z "$base" ] || options+=(--build-arg "BASE=$base")
  if [ "$step" = train ] && [ -n "${FRCNN_WHEELS:-}" ]; then
    options+=(--build-arg "FRCNN_WHEELS=$FRCNN_WHEELS")
  fi
  [ -z "${BUILD_BASE:-}" ] || options+=(--build-arg "BUILD_BASE=$BUILD_BASE")
  [ -z "${PIP_OPTIONS:-}" ] || options+=(--build-arg "PIP_OPTIONS=$PIP_OPTIONS")
  if [ -n "${EXTRAS_GPU:-}" ]; then
    extras=$(sed -n 's/^ARG EXTRAS=//p' "components/$step/Dockerfile")
    options+=(--build-arg "EXTRAS=${extras/cpu/gpu}")
  fi
  echo "building $image" >&2
  # shellcheck disable=SC2086  # BUILD_OPTIONS are words
  "$engine" build ${BUILD_OPTIONS:-} "${options[@]}" -f "components/$step/Dockerfile" -t "$image" . >&2
  sizes+=("$(printf '%-50s %6d MB' "$image" "$(($("$engine" image inspect --format '{{.Size}}' "$image") / 1000000))")")
done
printf '%s\n' "${sizes[@]}"
