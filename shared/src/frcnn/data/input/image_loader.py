"""Loads single images: reads, resizes, augments and labels them. `dataset` batches them.

H and W are pixels of the network input, C is the number of channels, G = max_objects_num_per_image.
"""

import tensorflow as tf

from frcnn.cpu import usable_cores
from frcnn.data.input import sources
from frcnn.data.input.preflight import Subject, run_preflight
from frcnn.data.input.record_reader import MAX_BROKEN_IN_A_ROW, RecordReader
from frcnn.data.input.record_warnings import CROWDED, UNREADABLE, FaultReports
from frcnn.data.records import graph_messages
from frcnn.data.records.index import RecordIndex
from frcnn.data.records.prefetch import RecordStream
from frcnn.data.settings import DataSettings
from frcnn.data.transforms import augment, objects, preprocess, warp
from frcnn.data.transforms.objects import Objects
from frcnn.data.transforms.warp import Side
from frcnn.errors import DataError

Example = dict[str, tf.Tensor]

# Boxes narrower or lower than this, in px of the network input, are not used for training.
MIN_SIDE = 1.0
# Gives each epoch its own range of seeds; the spec's seed is a uint32.
SEED_STRIDE = 1 << 32


def options_of(threads: int) -> tf.data.Options:
    """Returns options for a dataset with a given number of threads, which are its own.

    TensorFlow's threads may be too few: `run_operations_in_turn` leaves one. The thread that would tune the
    dataset sleeps for up to a minute at a time, and an iterator waits for it at its end.

    Args:
        threads: Number of threads.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = threads
    return options


class ImageLoader:
    """Loader of single images of a record set: reads, resizes, augments and labels them."""

    def __init__(
        self, data: DataSettings, found: tuple[sources.RecordSource, ...], *, training: bool, augmented: bool
    ) -> None:
        """Indexes and checks the record files.

        Args:
            data: Settings of the data.
            found: Locations of records and images.
            training: Whether to drop boxes that are too small to train on and to replace unreadable images.
                Otherwise, examples also contain the record's name and size.
            augmented: Whether to augment the images.

        Raises:
            DataError: The record files have no usable content.
            StoreError: S3 is unreachable.
        """
        self.sources = found
        self.training = training
        self.settings = data.image
        self.max_objects = data.max_objects
        self.seed = data.seed
        self.augmentation = augment.Augmentation.of(data) if augmented else None
        self.window = None
        if not self.settings.dynamic:
            height, width = self.settings.height, self.settings.width
            self.window = augment.crop_transform(data.crop, height, width)
        self.min_sides = (data.min_box_height, data.min_box_width) if training else (MIN_SIDE, MIN_SIDE)
        self.index = RecordIndex.scan([path for source in found for path in source.files])
        if not len(self.index):
            raise DataError(
                f"{found[0].records_field}: the record files are all empty "
                f"({found[0].files[0]}, ...); "
                f"{'run dataset_convert again' if training else 'the fold has no images'}"
            )
        folders = tuple(source.images for source in found for _ in source.files)
        classes = objects.ClassIndex(data.class_mapping, data.class_names)
        self.stream = RecordStream(self.index) if any(self.index.remote) else None
        self.reader = RecordReader(
            self.index,
            folders,
            data.image_extension,
            classes,
            self.settings.channels,
            self.stream,
            regions=not training,
        )
        given = data.validation_source is not None and data.validation_source.given
        subject: Subject = "training" if training else "given" if given else "validation"
        resized = self.settings.auto_resize or self.settings.dynamic or self.window is not None
        crop = None if resized else (self.settings.height, self.settings.width)
        looked = run_preflight(self.index, folders, self.reader.extensions, data.class_mapping, subject, crop)
        self.reader.block(looked.odd)
        self._faults = FaultReports(self.index, folders, self.reader.extensions, self.max_objects)
        self._receiver = graph_messages.subscribe(self._faults.report)

    @property
    def source_counts(self) -> tuple[int, ...]:
        """Number of images in each source."""
        counts = iter(self.index.counts)
        return tuple(sum(next(counts) for _ in source.files) for source in self.sources)

    # AutoGraph is not needed, since no Python branch depends on a tensor; it would take a second or more.
    @tf.autograph.experimental.do_not_convert
    def load(self, slot: tf.Tensor) -> tf.data.Dataset:
        """Creates a dataset with one element: the image of a slot or its replacement.

        The next readable image replaces an unreadable one in training; in validation, an empty image with
        `image_valid` false does.

        Args:
            slot: Image number (-1 for padding), epoch, and position in the epoch, int64 `[3]`.
        """
        number = slot[0]
        one = tf.data.Dataset.range(1)
        if self.training:
            limit = min(MAX_BROKEN_IN_A_ROW, len(self.index))
            tries = self.reader.attempts(number, limit)
            last = one.map(lambda _: self._give_up(number, limit))
        else:
            tries = self.reader.attempts(tf.maximum(number, 0), 1).take(tf.cast(number >= 0, tf.int64))
            last = one.map(lambda _: self._blank())
        found = tries.concatenate(last).take(1).map(lambda record: self._loaded(record, slot))
        return found if self.stream is None else self.reader.arrival(number).flat_map(lambda _: found)

    def _loaded(self, record: Example, slot: tf.Tensor) -> Example:
        self.reader.done(slot[0])
        return {**record, "slot": slot}

    def _give_up(self, number: tf.Tensor, tried: int) -> Example:
        graph_messages.send(self._receiver, UNREADABLE, number, tf.constant(True))
        problem = f"cannot read {tried} image(s) in a row, starting with:"
        with tf.control_dependencies([tf.Assert(False, [problem, self.reader.place_of(number)])]):
            return self._blank()

    def _blank(self) -> Example:
        return {
            "number": tf.constant(-1, tf.int64),
            "frame_id": tf.constant(""),
            "image": tf.ensure_shape(
                tf.zeros([1, 1, self.settings.channels], tf.uint8), [None, None, self.settings.channels]
            ),
            "frame_size": tf.ones([2], tf.float32),
            **Objects(tf.zeros([0, 4]), tf.zeros([0], tf.int32), tf.zeros([0], tf.bool))._asdict(),
        }

    @tf.autograph.experimental.do_not_convert
    def prepare(self, record: Example) -> Example:
        """Converts a loaded record to one element of a batch.

        Args:
            record: Element from `load`.

        Returns:
            Tensors as in `training_dataset` or `validation_dataset`, without the batch axis.
        """
        wanted = record["slot"][0]
        graph_messages.send(self._receiver, UNREADABLE, wanted, record["number"] != wanted)
        image, found, height, width = self._fit(record)
        found = objects.drop_small(found, *self.min_sides)
        if self.augmentation:
            seed = tf.stack([self.seed + record["slot"][1] * SEED_STRIDE, record["slot"][2]])
            image, found = self.augmentation(image, found, seed, height, width, self.window)
        elif self.window is not None:
            image = warp.warp_image(image, self.window, height, width)
            found = found._replace(boxes=warp.warp_boxes(found.boxes, self.window))
        found = objects.snap_to_pixels(found, height, width)
        regions = found.keep(found.classes == objects.UNMAPPED)
        found = found.keep(found.classes != objects.UNMAPPED)
        crowded = tf.shape(found.classes)[0] > self.max_objects
        graph_messages.send(self._receiver, CROWDED, record["number"], crowded)
        found = objects.keep_largest(found, self.max_objects)
        image = preprocess.normalize(image, self.settings)
        if self.settings.dynamic:
            image = preprocess.pad_to_multiple(image, preprocess.SIZE_STEP)
        size = tf.stack([tf.cast(height, tf.int32), tf.cast(width, tf.int32)])
        example = {"images": image, "size": size, **objects.pad_objects(found, self.max_objects)}
        if not self.training:
            example["frame_id"] = record["frame_id"]
            example["image_valid"] = record["number"] >= 0
            example["original_size"] = tf.shape(record["image"])[:2]
            example["ignored"] = objects.pad_regions(regions, self.max_objects)
        return example

    def _fit(self, record: Example) -> tuple[tf.Tensor, Objects, Side, Side]:
        """Fits the image to the network input; returns image, objects, height and width.

        Pixels are float32, RGB or gray, 0..255. An image that is not resized keeps the pixels outside the
        input if a later warp may move them inside.
        """
        image = record["image"]
        found = Objects(record["boxes"], record["classes"], record["difficult"])
        stored = tf.shape(image)[:2]
        height, width = preprocess.target_size(self.settings, stored[0], stored[1])
        if self.settings.auto_resize or self.settings.dynamic:
            scale = tf.cast(tf.stack([height, width]), tf.float32) / record["frame_size"]
            found = found._replace(boxes=found.boxes * tf.tile(scale, [2]))
            return preprocess.stretch(image, height, width), found, height, width
        moves = self.augmentation is not None and not self.augmentation.spatial.only_flips
        if moves or self.window is not None:
            canvas = tf.unstack(tf.maximum([height, width], stored))
            return preprocess.pad_or_crop(image, *canvas), found, height, width
        return preprocess.pad_or_crop(image, height, width), found, height, width

    def check_all_images(self) -> None:
        """Reads every image once.

        Raises:
            DataError: Images are unreadable; the message lists the first 20.
            StoreError: The records are on S3, which is unreachable.
        """
        count = len(self.index)
        if self.stream is not None:
            self.stream.follow(lambda: iter(range(count)))
        numbers = tf.data.Dataset.range(count)
        threads = usable_cores()
        read = numbers.interleave(
            tf.autograph.experimental.do_not_convert(
                lambda n: self.reader.attempts(n, 1).take(1).map(self._checked)
            ),
            cycle_length=threads,
            num_parallel_calls=threads,
        ).with_options(options_of(threads))
        broken = sorted(set(range(count)) - {int(n) for n in read.as_numpy_iterator()})
        if self.stream is not None and self.stream.failure is not None:
            raise self.stream.failure
        if broken:
            listed = "\n  ".join(self._faults.explain(number) for number in broken[:20])
            raise DataError(f"cannot read {len(broken)} of {count} images:\n  {listed}")

    def _checked(self, record: Example) -> tf.Tensor:
        self.reader.done(record["number"])
        return record["number"]
