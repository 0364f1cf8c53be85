"""Reads a record and its image by number, inside a tf.data graph.

Reading may fail: a file is missing or an image is broken. `attempts` then yields the next readable one or
nothing, without Python code for images that are fine.

No op here has state, except those that read record files: with op determinism, TensorFlow would run
pipelines with stateful ops (lookup tables, single elements of datasets) without threads.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from frcnn.data.image_suffixes import extension_spellings
from frcnn.data.records import graph_messages
from frcnn.data.records.annotations import DONT_CARE
from frcnn.data.records.index import RecordIndex
from frcnn.data.records.prefetch import DONE, FAILED, STREAM_FAILED, WAITING, RecordStream
from frcnn.data.transforms.objects import UNMAPPED, ClassIndex, Objects, normalized
from frcnn.data.transforms.preprocess import decode_image

# This many unreadable images in a row mean that the storage is unavailable, not that images are broken.
MAX_BROKEN_IN_A_ROW = 16
# Interval between checks for a record that has not arrived, and checks before it is requested again.
POLL_MICROSECONDS, POLLS = 5000, 100
# Maximum length of an error's reason, bytes.
MAX_REPORTED = 1000

# Names outside the image folder (`frcnn.data.image_suffixes.is_below`); `\C` is any byte.
_OUTSIDE = r"/\C*|(\C*/)?\.\.(/\C*)?"

FEATURES = {
    "frame/id": tf.io.FixedLenFeature([], tf.string),
    "frame/height": tf.io.FixedLenFeature([], tf.int64, default_value=0),
    "frame/width": tf.io.FixedLenFeature([], tf.int64, default_value=0),
    "frame/file": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "frame/orientation": tf.io.FixedLenFeature([], tf.int64, default_value=1),
    "frame/encoded": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "target/object_class": tf.io.RaggedFeature(tf.string),
    "target/occlusion": tf.io.RaggedFeature(tf.int64),
    "target/coordinates_x1": tf.io.RaggedFeature(tf.float32),
    "target/coordinates_y1": tf.io.RaggedFeature(tf.float32),
    "target/coordinates_x2": tf.io.RaggedFeature(tf.float32),
    "target/coordinates_y2": tf.io.RaggedFeature(tf.float32),
}


class RecordReader:
    """Reader of the records and images of a record set, by number."""

    def __init__(
        self,
        index: RecordIndex,
        folders: tuple[Path, ...],
        extension: str,
        classes: ClassIndex,
        channels: int,
        stream: RecordStream | None = None,
        *,
        regions: bool = False,
    ) -> None:
        """Creates the reader.

        Args:
            index: Records.
            folders: Image folder of each file of the index.
            extension: Image extension of the spec, tried first for records that do not name their image file.
            classes: Lookup of class indices.
            channels: Number of channels, 3 or 1.
            stream: Stream that fetches records from S3; `None` if all files are local.
            regions: Whether objects include KITTI's DontCare regions, with class `objects.UNMAPPED`.
        """
        self._regions = regions
        self.index = index
        self.folders = folders
        self.extensions = extension_spellings(extension)
        self.channels = channels
        self._classes = classes
        self._files = tf.constant([os.fsencode(str(path)) for path in index.files], tf.string)
        self._folders = tf.constant([os.fsencode(path) for path in folders], tf.string)
        self._file_of = tf.constant(index.file_of, tf.int32)
        self._offsets = tf.constant(index.offsets, tf.int64)
        self._stream = stream
        self._remote = tf.constant(index.remote, tf.bool)
        self._blocked = tf.zeros([0], tf.int64)

    def block(self, numbers: Sequence[int]) -> None:
        """Treats the images of records as unreadable: opening a pipe might never return.

        Args:
            numbers: Numbers of the records.
        """
        self._blocked = tf.constant(numbers, tf.int64, [len(numbers)])

    def attempts(self, number: tf.Tensor, count: int) -> tf.data.Dataset:
        """Creates a dataset of the readable ones among consecutive records.

        Each record is tried with its own file name, then with every spelling of the extension. Unreadable
        ones are skipped.

        Args:
            number: Number of the first record, int64 scalar.
            count: Number of records; after the last one, numbering continues at 0.

        Returns:
            Dataset with the elements of `read`; one record may occur several times.
        """
        spellings = 1 + len(self.extensions)
        tries = tf.data.Dataset.range(count * spellings)
        read = tries.flat_map(lambda t: self.read((number + t // spellings) % len(self.index), t % spellings))
        # A missing record file fails at every attempt, so the number of attempts is limited.
        bound = tf.data.Dataset.range(count * spellings + 1)
        return tf.data.Dataset.zip(bound, read).ignore_errors(log_warning=False).map(lambda _, read: read)

    def read(self, number: tf.Tensor, spelling: tf.Tensor) -> tf.data.Dataset:
        """Creates a dataset with one element: a record with its image.

        Iteration raises tf.errors.OpError if they are unreadable. The element has `number`; `frame_id`;
        `image`, uint8 `[h, w, C]`; `frame_size`, float32 `[2]` (height and width from the record, or of the
        image if the record has none); `boxes`, `yxyx` in pixels of the image; `classes` and `difficult`.

        Args:
            number: Number of the record, int64 scalar.
            spelling: 0 for the file name in the record, otherwise 1 + index of the extension, int64 scalar.
        """
        file = self._file_of[number]
        if self._stream is None:
            records = _record_at(self._files[file], self._offsets[number])
        else:
            records = self._streamed(number, file, self._stream)
        return records.take(1).map(lambda record: self._parse(record, number, file, spelling))

    def arrival(self, number: tf.Tensor) -> tf.data.Dataset:
        """Creates a dataset with one element, available as soon as a record is on this machine.

        If the record cannot be fetched, tf.errors.InvalidArgumentError states the reason.

        Args:
            number: Number of the record, int64 scalar; -1 does not wait.
        """
        if self._stream is None:
            return tf.data.Dataset.range(1)
        stream = self._stream
        wait = tf.data.Dataset.range(tf.cast(number >= 0, tf.int64)).flat_map(
            lambda _: self._streamed(number, self._file_of[number], stream).map(_refuse_failure)
        )
        return wait.concatenate(tf.data.Dataset.range(tf.cast(number < 0, tf.int64)))

    def done(self, number: tf.Tensor) -> None:
        """Reports from the graph that record `number` has been read; -1 is ignored."""
        if self._stream is not None:
            graph_messages.send(self._stream.receiver, DONE, number, number >= 0)

    def _streamed(self, number: tf.Tensor, file: tf.Tensor, stream: RecordStream) -> tf.data.Dataset:
        """Creates a dataset of a record; it waits until the file of a record on S3 exists."""
        graph_messages.send(stream.receiver, WAITING, number, tf.constant(True))
        remote = self._remote[file]
        name = tf.strings.join([str(stream.folder), "/", tf.strings.as_string(number)])
        path = tf.where(remote, name, self._files[file])
        offset = tf.where(remote, tf.constant(0, tf.int64), self._offsets[number])
        # A dataset that failed to open its file tries again for the next element.
        at_once = _without_errors(_record_at(path, offset), 1)

        def later(_: tf.Tensor) -> tf.data.Dataset:
            # Request it again: the record may have been fetched and deleted in the meantime.
            graph_messages.send(stream.receiver, WAITING, number, tf.constant(True))
            # Created here, since TensorFlow loses the offset of a dataset captured by a function.
            return _without_errors(_delayed(_record_at(path, offset)), POLLS)

        rounds = tf.data.Dataset.range(tf.where(remote, tf.int64.max, tf.constant(0, tf.int64)))
        return at_once.concatenate(rounds.flat_map(later)).take(1)

    def place_of(self, number: tf.Tensor) -> tf.Tensor:
        """Returns `record <number> of <file>` as a tensor."""
        return tf.strings.join(
            ["record ", tf.strings.as_string(number), " of ", self._files[self._file_of[number]]]
        )

    def _parse(
        self, record: tf.Tensor, number: tf.Tensor, file: tf.Tensor, spelling: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_single_example(record, FEATURES)
        blocked = tf.reduce_any(self._blocked == number)
        with tf.control_dependencies([tf.Assert(~blocked, ["not a regular file"])]):
            encoded = self._encoded(parsed, file, spelling)
        image = decode_image(encoded, self.channels, parsed["frame/orientation"])
        size = tf.cast([parsed["frame/height"], parsed["frame/width"]], tf.float32)
        actual = tf.cast(tf.shape(image)[:2], tf.float32)
        return {
            "number": number,
            "frame_id": parsed["frame/id"],
            "image": image,
            "frame_size": tf.where(tf.reduce_all(size > 0), size, actual),
            **self._objects(parsed)._asdict(),
        }

    def _encoded(self, parsed: dict[str, tf.Tensor], file: tf.Tensor, spelling: tf.Tensor) -> tf.Tensor:
        extension = tf.constant(self.extensions)[tf.maximum(spelling - 1, 0)]
        guessed = tf.strings.join([parsed["frame/id"], ".", extension])
        named = (spelling == 0) & (parsed["frame/file"] != "")
        name = tf.where(named, parsed["frame/file"], guessed)
        path = tf.strings.join([self._folders[file], "/", name])
        embedded = parsed["frame/encoded"]

        def read() -> tf.Tensor:
            outside = tf.strings.regex_full_match(name, _OUTSIDE)
            with tf.control_dependencies([tf.Assert(~outside, ["not below the image folder"])]):
                return tf.io.read_file(path)

        return tf.cond(tf.strings.length(embedded) > 0, lambda: embedded, read)

    def _objects(self, parsed: dict[str, tf.Tensor]) -> Objects:
        classes = self._classes(parsed["target/object_class"])
        corners = [parsed[f"target/coordinates_{name}"] for name in ("y1", "x1", "y2", "x2")]
        occlusion = parsed["target/occlusion"]
        unknown = tf.zeros([tf.maximum(0, tf.shape(classes)[0] - tf.shape(occlusion)[0])], tf.int64)
        objects = Objects(tf.stack(corners, axis=1), classes, tf.concat([occlusion, unknown], axis=0) >= 1)
        kept = classes != UNMAPPED
        if self._regions:
            kept |= normalized(parsed["target/object_class"]) == DONT_CARE
        return objects.keep(kept)


def _record_at(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """Creates a dataset of the records of a file, starting at a byte offset."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _without_errors(records: tf.data.Dataset, attempts: int) -> tf.data.Dataset:
    """Yields the elements from a limited number of attempts, skipping errors."""
    tries = tf.data.Dataset.zip(tf.data.Dataset.range(attempts), records)
    return tries.ignore_errors(log_warning=False).map(lambda _, record: record)


def _delayed(records: tf.data.Dataset) -> tf.data.Dataset:
    """Sleeps briefly before each element, with an op that has no state (docs/adr/0007)."""
    variant = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        sleep_microseconds=tf.constant(POLL_MICROSECONDS, tf.int64),
        output_types=[tf.string],
        output_shapes=[tf.TensorShape([])],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _refuse_failure(record: tf.Tensor) -> tf.Tensor:
    """Returns 0; fails if the record is a placeholder for one that could not be fetched."""
    failed = tf.strings.substr(record, 0, len(FAILED)) == FAILED
    reason = tf.cond(
        failed, lambda: tf.strings.substr(record, len(FAILED), MAX_REPORTED), lambda: tf.constant("")
    )
    with tf.control_dependencies([tf.Assert(~failed, [STREAM_FAILED, reason])]):
        return tf.constant(0, tf.int64)
