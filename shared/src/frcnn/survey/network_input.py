"""Maps boxes of a survey to the network input, as the loader does in training."""

import dataclasses

import numpy as np

from frcnn.data.transforms.image_settings import ImageSettings


@dataclasses.dataclass(frozen=True)
class NetworkInput:
    """Size of the network input and the filter of small boxes.

    Attributes:
        images: Input format of the network.
        min_height: Minimum height of a box, px of the network input.
        min_width: Minimum width of a box, px of the network input.
        stride: Pixels per cell of the feature map.
        max_objects: Maximum number of objects per image.
    """

    images: ImageSettings
    min_height: float = 1.0
    min_width: float = 1.0
    stride: int = 16
    max_objects: int = 100

    @classmethod
    def of_size(cls, height: int, width: int) -> "NetworkInput":
        """Creates the settings of an input of fixed size to which images are resized.

        Args:
            height: Height, px.
            width: Width, px.
        """
        return cls(ImageSettings(height, width, 3, "rgb", (0.0, 0.0, 0.0), 1.0, auto_resize=True))

    def sizes(self, images: np.ndarray) -> np.ndarray:
        """Returns height and width of the network input for each image, float64 `[N, 2]`.

        Args:
            images: Rows of type `IMAGE`, `[N]`.
        """
        if not self.images.dynamic:
            return np.broadcast_to(np.array([self.images.height, self.images.width], float), (len(images), 2))
        pairs = np.stack([images["height"], images["width"]], axis=1)
        distinct, which = np.unique(pairs, axis=0, return_inverse=True)
        fitted = np.array([self.images.target_size(int(height), int(width)) for height, width in distinct])
        return fitted.astype(float).reshape(-1, 2)[which.reshape(-1)]

    def boxes(self, boxes: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Maps boxes to the network input, without rounding or clipping.

        Args:
            boxes: Boxes, `x1 y1 x2 y2` in pixels of the images, `[N, 4]`.
            images: Row of each box's image, `[N]`.

        Returns:
            Boxes, `x1 y1 x2 y2` in pixels of the network input, float64 `[N, 4]`.
        """
        if not (self.images.auto_resize or self.images.dynamic):
            return boxes.astype(float)
        scale = self.sizes(images) / np.stack([images["height"], images["width"]], axis=1)
        scaled: np.ndarray = boxes * np.tile(scale[:, ::-1], 2)
        return scaled

    def kept(self, boxes: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rounds and clips boxes, and finds those that training keeps.

        Args:
            boxes: Boxes from `boxes`, `[N, 4]`.
            images: Row of each box's image, `[N]`.

        Returns:
            Boxes with whole coordinates inside the input, `[N, 4]`, and whether each is kept, bool `[N]`.
        """
        large = (boxes[:, 2] - boxes[:, 0] >= self.min_width) & (boxes[:, 3] - boxes[:, 1] >= self.min_height)
        limits = np.tile(self.sizes(images)[:, ::-1] - 1, 2)
        whole = np.clip(np.round(boxes), 0.0, limits)
        return whole, large & (whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])
