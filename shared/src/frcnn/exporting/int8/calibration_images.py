"""Loads the images that INT8 ranges are measured on."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from frcnn.data.image_files import find_images
from frcnn.data.input.dataset import calibration_dataset
from frcnn.data.settings import DataSettings
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import DataError
from frcnn.exporting.int8.tensor_file import read_tensor_file, write_tensor_file
from frcnn.inference.compare import network_image


@dataclasses.dataclass(frozen=True)
class CalibrationImages:
    """Source and number of calibration images.

    Attributes:
        batches: Number of batches.
        batch_size: Images per batch; `batches * batch_size` are used in total.
        folder: Folder to draw images from at random; `None` for the training records.
        tensor_file: File with prepared images. It is written if it does not exist.
    """

    batches: int
    batch_size: int
    folder: Path | None = None
    tensor_file: Path | None = None

    @property
    def count(self) -> int:
        """Number of images."""
        return self.batches * self.batch_size

    def load(self, data: DataSettings) -> Iterator[np.ndarray]:
        """Loads the images, the same ones each time.

        Args:
            data: Training records, input format, and seed of the choice.

        Yields:
            Preprocessed batches, float32 `[n, C, H, W]`.

        Raises:
            DataError: There are too few images, one cannot be read, or a record file was replaced meanwhile.
        """
        if self.tensor_file is None:
            yield from self._prepared(data)
            return
        if not self.tensor_file.exists():
            write_tensor_file(self.tensor_file, self._prepared(data))
        yield from self._stored(self.tensor_file, data.image)

    def _prepared(self, data: DataSettings) -> Iterator[np.ndarray]:
        if self.folder is None:
            dataset = calibration_dataset(data, images=self.count, batch_size=self.batch_size)
            self._check(dataset.size, "the training records hold")
            for batch in dataset.batches:
                yield np.ascontiguousarray(batch["images"].numpy().transpose(0, 3, 1, 2))
            dataset.files.require_unchanged()
            return
        paths = find_images(self.folder)
        self._check(len(paths), f"{self.folder} holds")
        order = np.random.default_rng(data.seed).permutation(len(paths))[: self.count]
        for start in range(0, self.count, self.batch_size):
            chosen = [self.folder / paths[number] for number in order[start : start + self.batch_size]]
            images = np.stack([network_image(path, data.image) for path in chosen])
            yield np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def _stored(self, path: Path, settings: ImageSettings) -> Iterator[np.ndarray]:
        left = self.count
        for batch in read_tensor_file(path, (settings.channels, settings.height, settings.width)):
            yield batch[:left]
            left -= len(batch[:left])
            if not left:
                return
        self._check(self.count - left, f"{path} holds")

    def _check(self, found: int, holder: str) -> None:
        if found < self.count:
            images = "image" if found == 1 else "images"
            raise DataError(
                f"INT8 calibration: {holder} {found} {images}, but {self.count} are required "
                f"(batches {self.batches} x batch_size {self.batch_size}); lower one of them"
            )
