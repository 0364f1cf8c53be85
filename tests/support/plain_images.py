"""Image resizing in plain numpy."""

import numpy as np


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Plain bilinear sampling with pixel centers at .5 and the border repeated."""

    def axis(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        return low, np.minimum(low + 1, length - 1), place - low

    top, bottom, down = axis(image.shape[0], height)
    left, right, across = axis(image.shape[1], width)
    image, across = image.astype(np.float64), across[None, :, None]
    rows = image[:, left] * (1 - across) + image[:, right] * across
    return rows[top] * (1 - down[:, None, None]) + rows[bottom] * down[:, None, None]
