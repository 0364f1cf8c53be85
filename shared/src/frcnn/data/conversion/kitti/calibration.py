"""Calibration files of KITTI: how lidar points land in the camera and in its picture."""

from pathlib import Path

from frcnn.data.records.annotations import Calibration
from frcnn.regular_file import read_regular

Matrix = list[list[float]]
# Rows and columns of the matrices that are needed; the files hold more.
SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
_MOST_BYTES = 1 << 20
# The tracking benchmark's spelling of the same matrices.
ALIASES = {"R_rect": "R0_rect", "Tr_velo_cam": "Tr_velo_to_cam"}


class CalibrationError(Exception):
    """A calibration file that cannot be used; the message names the file."""


def read_calibration(path: Path) -> Calibration:
    """Both transforms of the left colour camera (P2).

    Source: KITTI development kit, readme: y = P2 * R0_rect * Tr_velo_to_cam * x.

    Raises:
        CalibrationError: The file is missing, or lacks a matrix, or has numbers missing.
    """
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise CalibrationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CalibrationError(f"{path}: not text in UTF-8") from None
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
        raise CalibrationError(f"{path}: {name}: {len(numbers)} numbers, expected {rows * columns}")
    return [numbers[row * columns : (row + 1) * columns] for row in range(rows)]


def _homogeneous(matrix: Matrix) -> Matrix:
    return [*([*row, 0.0][:4] for row in matrix), [0.0, 0.0, 0.0, 1.0]]


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    return [[sum(a * b for a, b in zip(row, col, strict=True)) for col in columns] for row in left]


def _flat(matrix: Matrix) -> tuple[float, ...]:
    return tuple(number for row in matrix for number in row)
