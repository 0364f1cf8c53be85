#!/bin/sh
# Regenerates every *_pb2.py and *_pb2.pyi in shared/src from the .proto file next to it.
# The bytes depend on the compiler: use the pinned grpcio-tools and mypy-protobuf (see constraints.txt).
# Usage: PATH=.venv/bin:$PATH scripts/generate_proto.sh [OUTPUT_FOLDER]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
output=${1:-$root/shared/src}
cd "$root/shared/src"
python -m grpc_tools.protoc --proto_path=. --python_out="$output" --mypy_out="quiet:$output" \
    frcnn/data/records/example.proto frcnn/spec/experiment.proto frcnn/spec/dataset_export.proto \
    frcnn/tuning/space.proto
