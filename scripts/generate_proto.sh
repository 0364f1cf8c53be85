#!/bin/sh
# Writes shared/src/frcnn/spec/*_pb2.py and *_pb2.pyi again from the .proto files beside them.
# The bytes depend on the compiler: use the pinned grpcio-tools (see constraints.txt).
# Usage: scripts/generate_proto.sh [OUTPUT_FOLDER]      PYTHON names the interpreter.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
output=${1:-$root/shared/src}
cd "$root/shared/src"
"$python" -m grpc_tools.protoc --proto_path=. --python_out="$output" --pyi_out="$output" \
    frcnn/spec/experiment.proto frcnn/spec/dataset_export.proto
