"""Builds tf.data pipelines from record files to padded batches.

B images, H and W pixels of the network input, C channels, G = max_objects_num_per_image.
docs/loading.md explains order, sharding, broken images and augmentation.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from frcnn.cpu import usable_cores
from frcnn.data.input import sources
from frcnn.data.input.epoch_order import EpochOrder, positions_of_rank, shares_of, steps_per_epoch
from frcnn.data.input.image_loader import ImageLoader, options_of
from frcnn.data.records.unchanged import FileStates
from frcnn.data.settings import DataSettings

MAX_THREADS = 16
LAST_EPOCH = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Batches and their number.

    Attributes:
        batches: Dicts of tensors, see `training_dataset` and `validation_dataset`.
        size: Number of images in the whole set, over all ranks.
        steps_per_epoch: Number of batches of this rank in one pass; equal on all ranks.
        files: States of the local record files when they were opened.
    """

    batches: tf.data.Dataset
    size: int
    steps_per_epoch: int
    files: FileStates


def training_dataset(
    settings: DataSettings,
    *,
    rank: int = 0,
    world: int = 1,
    start_epoch: int = 0,
    start_step: int = 0,
    strict: bool = False,
) -> Dataset:
    """Creates an endless dataset of training batches for this rank.

    Epochs follow each other without a marker, `steps_per_epoch` batches each. The order of epoch e depends
    only on `settings.seed` and e. A batch has

        images     float32 [B, H, W, C], preprocessed
        size       int32 [B, 2], height and width of the image without padding; H, W unless the input has
                   dynamic shape (then H, W are multiples of 64, padded with 0)
        boxes      float32 [B, G, 4], yxyx in pixels of the network input, integers
        classes    int32 [B, G], index into settings.class_names
        valid      bool [B, G], False where there is no object
        difficult  bool [B, G]

    Args:
        settings: Settings of the data.
        rank: Rank of this process, 0 <= rank < world.
        world: Number of processes that train together.
        start_epoch: First epoch, counted from 0.
        start_step: Number of batches to skip in the first epoch.
        strict: Whether to read all images first, and to raise an error if one is unreadable.

    Raises:
        DataError: There are no files, images or objects of a mapped class, or an image is unreadable
            with `strict`.
        StoreError: S3 is unreachable.
    """
    found = sources.training_sources(settings)
    loader = ImageLoader(settings, found, training=True, augmented=settings.augmented)
    if strict:
        loader.check_all_images()
    batch_size = settings.batch_size
    order = EpochOrder(loader.source_counts, _shares(settings, loader), settings.seed)
    steps = steps_per_epoch(len(loader.index), batch_size, world)

    positions = positions_of_rank(len(loader.index), batch_size, rank, world)
    if loader.stream is not None:
        loader.stream.follow(lambda: _numbers(order, positions, start_epoch, start_step * batch_size))
    stream = _slots(order, positions, start_epoch, LAST_EPOCH)
    if start_step:
        rest = _slots(order, positions[start_step * batch_size :], start_epoch, start_epoch + 1)
        stream = rest.concatenate(_slots(order, positions, start_epoch + 1, LAST_EPOCH))
    batches = _batched(loader, stream, batch_size)
    return Dataset(batches, len(loader.index), steps, loader.index.states)


def validation_dataset(
    settings: DataSettings, *, rank: int = 0, world: int = 1, batch_size: int, strict: bool = False
) -> Dataset:
    """Creates one pass over this rank's share of the validation images.

    Each image occurs exactly once and is never augmented.

    In addition to the tensors of a training batch, a batch has

        frame_id       string [B]
        image_valid    bool [B], False for padding of the last batch and for unreadable images
        original_size  int32 [B, 2], height and width of the image, after EXIF rotation
        ignored        float32 [B, G, 4], yxyx, regions in which detections are ignored (KITTI's DontCare);
                       padded with 0

    Every rank gets the same number of batches; together the ranks cover the whole set.

    Args:
        settings: Settings of the data.
        rank: Rank of this process, 0 <= rank < world.
        world: Number of processes that evaluate together.
        batch_size: Images per batch.
        strict: Whether to read all images first, and to raise an error if one is unreadable.

    Raises:
        DataError: There are no usable validation images, or an image is unreadable with `strict`.
        StoreError: S3 is unreachable.
    """
    loader = ImageLoader(settings, sources.validation_sources(settings), training=False, augmented=False)
    if strict:
        loader.check_all_images()
    total = len(loader.index)
    steps = math.ceil(math.ceil(total / world) / batch_size)
    numbers = np.full(steps * batch_size, -1, np.int64)
    share = np.arange(rank, total, world)
    numbers[: len(share)] = share
    if loader.stream is not None:
        loader.stream.follow(lambda: iter(share.tolist()))
    slots = np.stack([numbers, np.zeros_like(numbers), np.arange(len(numbers))], axis=1)
    batches = _batched(loader, tf.data.Dataset.from_tensor_slices(slots), batch_size)
    batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
    return Dataset(batches, total, steps, loader.index.states)


def calibration_dataset(settings: DataSettings, *, images: int, batch_size: int) -> Dataset:
    """Creates one pass over a random sample of the training images, not augmented.

    Batches are like those of `training_dataset`, but the last one may be smaller. `size` is the size of the
    training set.

    Args:
        settings: Settings of the data; their `seed` determines the sample.
        images: Number of images; all of them if there are fewer.
        batch_size: Images per batch.

    Raises:
        DataError: There are no usable training images.
        StoreError: S3 is unreachable.
    """
    loader = ImageLoader(settings, sources.training_sources(settings), training=True, augmented=False)
    order = np.random.default_rng(settings.seed).permutation(len(loader.index))[:images]
    slots = np.stack([order, np.zeros_like(order), np.arange(len(order))], axis=1)
    stream = tf.data.Dataset.from_tensor_slices(slots)
    batches = _batched(loader, stream, batch_size, drop_remainder=False)
    return Dataset(batches, len(loader.index), math.ceil(len(order) / batch_size), loader.index.states)


def _slots(order: EpochOrder, positions: np.ndarray, first: int, last: int) -> tf.data.Dataset:
    """Yields image number, epoch and position, int64 `[3]`, for epochs `first` to `last` - 1."""
    places = tf.constant(positions)

    @tf.autograph.experimental.do_not_convert
    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        images = order.images(epoch)
        numbers = tf.gather(images, places % tf.size(images, tf.int64))
        slots = tf.stack([numbers, tf.fill(tf.shape(numbers), epoch), places], axis=1)
        return tf.data.Dataset.from_tensor_slices(slots)

    return tf.data.Dataset.range(first, last).flat_map(of_epoch)


def _numbers(order: EpochOrder, positions: np.ndarray, epoch: int, left_out: int) -> Iterator[int]:
    """Yields the image numbers of `_slots` endlessly, starting `left_out` images into `epoch`."""
    while True:
        images = order.images(epoch).numpy()
        yield from images[positions[left_out:] % len(images)].tolist()
        epoch, left_out = epoch + 1, 0


def _shares(settings: DataSettings, loader: ImageLoader) -> tuple[int, ...]:
    counts = loader.source_counts
    if settings.uniform_sampling:
        return shares_of(counts, [1.0] * len(counts))
    return shares_of(counts, [n * s.weight for n, s in zip(counts, loader.sources, strict=True)])


def worker_threads() -> int:
    """Returns the threads per pipeline: half of the usable cores; the train step uses the others."""
    return min(MAX_THREADS, max(1, usable_cores() // 2))


def _batched(
    loader: ImageLoader, slots: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = True
) -> tf.data.Dataset:
    threads = worker_threads()
    images = slots.interleave(
        loader.load, cycle_length=threads, num_parallel_calls=threads, deterministic=True
    ).map(loader.prepare, num_parallel_calls=threads, deterministic=True)
    # Images have different sizes only with dynamic shape; they are padded to the largest of the batch.
    join = tf.data.Dataset.padded_batch if loader.settings.dynamic else tf.data.Dataset.batch
    batches = join(images, batch_size, drop_remainder=drop_remainder).prefetch(2)
    options = options_of(threads)
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options)
