"""Reads KITTI calibration files: transforms from lidar to the camera and to its image."""

from pathlib import Path

from frcnn.data.records.annotations import Calibration
from frcnn.regular_file import read_regular

Matrix = list[list[float]]
# Rows and columns of the required matrices; files contain more.
SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
_MAX_BYTES = 1 << 20
# Names of the same matrices in the tracking benchmark.
ALIASES = {"R_rect": "R0_rect", "Tr_velo_cam": "Tr_velo_to_cam"}


class CalibrationError(Exception):
    """Unusable calibration file; the message names the file."""


def read_calibration(path: Path) -> Calibration:
    """Reads both transforms of the left color camera (P2).

    Source: KITTI development kit, readme: y = P2 * R0_rect * Tr_velo_to_cam * x.

    Args:
        path: Calibration file.

    Returns:
        Transforms from lidar to camera and to image.

    Raises:
        CalibrationError: The file is missing or invalid, or a matrix or numbers are missing.
    """
    try:
        text = read_regular(path, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise CalibrationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CalibrationError(f"{path}: not UTF-8 text") from None
    matrices = {name: _matrix(path, text, name) for name in SHAPES}
    to_camera = _product(_homogeneous(matrices["R0_rect"]), _homogeneous(matrices["Tr_velo_to_cam"]))
    to_image = _product(matrices["P2"], to_camera)
    return Calibration(_flat(to_camera), _flat(to_image))


def _matrix(path: Path, text: str, name: str) -> Matrix:
    for line in text.splitlines():
        key, *values = line.replace(":", " ", 1).split() or [""]
        if ALIASES.get(key, key) == name:
            break
    else:
        raise CalibrationError(f"{path}: no line {name}")
    rows, columns = SHAPES[name]
    try:
        numbers = [float(value) for value in values]
    except ValueError as error:
        raise CalibrationError(f"{path}: {name}: {error}") from None
    if len(numbers) != rows * columns:
        raise CalibrationError(f"{path}: {name}: found {len(numbers)} numbers; expected {rows * columns}")
    return [numbers[row * columns : (row + 1) * columns] for row in range(rows)]


def _homogeneous(matrix: Matrix) -> Matrix:
    return [*([*row, 0.0][:4] for row in matrix), [0.0, 0.0, 0.0, 1.0]]


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    return [[sum(a * b for a, b in zip(row, col, strict=True)) for col in columns] for row in left]


def _flat(matrix: Matrix) -> tuple[float, ...]:
    return tuple(number for row in matrix for number in row)
