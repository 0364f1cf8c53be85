#!/bin/sh
# Prints what the Python bindings of a TensorRT release have, as JSON {name: [members] or null}.
# Usage: scripts/tensorrt_names.sh 11.4.0.106 PYTHON
#
# No GPU and none of TensorRT's libraries are needed: the bindings (1 MB) are imported with empty stand-ins for
# the libraries, which is enough to look at names. Needs gcc, readelf, nm and unzip.
set -eu
version=$1
python=${2:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" \
    "tensorrt-cu13-bindings==$version" >&2
unzip -qo "$work"/*.whl -d "$work"
bindings=$work/tensorrt_bindings/tensorrt.so
nm -D --undefined-only "$bindings" | awk '{print $2}' \
    | grep -E '_INTERNAL$|getNvOnnx|PluginRegistry$|PluginCreator|initLibNv|getInferLib|getLogger' \
    | sed 's/.*/void *&(void) { return 0; }/' > "$work/empty.c"
for library in $(readelf -d "$bindings" | grep NEEDED | grep -o 'libnv[a-z_]*\.so\.[0-9]*'); do
    gcc -shared -fPIC -o "$work/$library" "$work/empty.c"
done
LD_LIBRARY_PATH=$work "$python" - "$bindings" <<'EOF'
import importlib.util, inspect, json, sys

spec = importlib.util.spec_from_file_location("tensorrt", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = {}
for name in dir(module):
    value = getattr(module, name)
    members = [member for member in dir(value) if not member.startswith("_")]
    found[name] = members if inspect.isclass(value) else None
print(json.dumps(found, indent=0))
EOF
