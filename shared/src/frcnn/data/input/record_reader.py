"""Reads one record and its image by the record's number, inside a tf.data graph.

Reading may fail: a file is gone, an image is broken. `attempts` turns that into "the next one" or
"none", without Python in the way of images that are fine.

No op here has a state, but for those that read record files: others (lookup tables, single elements of data
sets) would make TensorFlow run the pipeline without threads when op determinism is on.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from frcnn.data.image_set import extension_spellings
from frcnn.data.records import graph_messages
from frcnn.data.records.annotations import DONT_CARE
from frcnn.data.records.index import RecordIndex
from frcnn.data.records.prefetch import DONE, FAILED, STREAM_FAILED, WAITING, RecordStream
from frcnn.data.transforms.objects import UNMAPPED, ClassIndex, Objects, normalized
from frcnn.data.transforms.preprocess import decode_image

# So many unreadable images in a row mean that the storage is gone, not that an image is broken.
MAX_BROKEN_IN_A_ROW = 16
# How often a record that has not arrived is looked for, and after how many looks it is asked for again.
POLL_MICROSECONDS, POLLS = 5000, 100
# How much of a failure's reason is passed on, in bytes.
MOST_TOLD = 1000

# Names that lead out of the image folder (`frcnn.data.image_set.is_below`); `\C` is any byte.
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
    """Records and images of a record set, by number."""

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
        """Keeps what reading needs.

        Args:
            index: The records.
            folders: Image folder of each file of the index.
            extension: The spec's image extension, tried first for records that do not name their image's
            file.
            classes: Gives the class index of each source class.
            channels: 3 or 1.
            stream: Brings the records of those files that lie on S3.
            regions: Whether KITTI's DontCare regions are among the objects, as class `objects.UNMAPPED`.
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
        """Counts these records' images as unreadable: opening what is no regular file might never end."""
        self._blocked = tf.constant(numbers, tf.int64, [len(numbers)])

    def attempts(self, number: tf.Tensor, count: int) -> tf.data.Dataset:
        """Those of the records `number`, `number` + 1, ... (`count` of them, going round) that can be read.

        Each is tried under the name in the record and every spelling of the extension; what cannot be read
        is left out.
        """
        spellings = 1 + len(self.extensions)
        tries = tf.data.Dataset.range(count * spellings)
        read = tries.flat_map(lambda t: self.read((number + t // spellings) % len(self.index), t % spellings))
        # A record file that is gone fails again each time it is asked: the bound ends that.
        bound = tf.data.Dataset.range(count * spellings + 1)
        return tf.data.Dataset.zip(bound, read).ignore_errors(log_warning=False).map(lambda _, read: read)

    def read(self, number: tf.Tensor, spelling: tf.Tensor) -> tf.data.Dataset:
        """A data set of one: record `number` with its image. Fails with tf.errors.OpError if unreadable.

        Its element has number; frame_id; image uint8 [h, w, C]; frame_size float32 [2] (height, width in
        the record, or of the image if the record has none); boxes, classes, difficult in image px.
        """
        file = self._file_of[number]
        if self._stream is None:
            records = _record_at(self._files[file], self._offsets[number])
        else:
            records = self._streamed(number, file, self._stream)
        return records.take(1).map(lambda record: self._parse(record, number, file, spelling))

    def arrival(self, number: tf.Tensor) -> tf.data.Dataset:
        """A data set of one, once record `number` is on this machine, or at once if it is -1.

        Fails with tf.errors.InvalidArgumentError, which tells why, if the record cannot be had.
        """
        if self._stream is None:
            return tf.data.Dataset.range(1)
        stream = self._stream
        wait = tf.data.Dataset.range(tf.cast(number >= 0, tf.int64)).flat_map(
            lambda _: self._streamed(number, self._file_of[number], stream).map(_refuse_failure)
        )
        return wait.concatenate(tf.data.Dataset.range(tf.cast(number < 0, tf.int64)))

    def done(self, number: tf.Tensor) -> None:
        """Says, in the graph, that record `number` has been read; -1 is none."""
        if self._stream is not None:
            graph_messages.send(self._stream.receiver, DONE, number, number >= 0)

    def _streamed(self, number: tf.Tensor, file: tf.Tensor, stream: RecordStream) -> tf.data.Dataset:
        """A data set of record `number`. It waits for a record on S3 until the file with it is there."""
        graph_messages.send(stream.receiver, WAITING, number, tf.constant(True))
        remote = self._remote[file]
        name = tf.strings.join([str(stream.folder), "/", tf.strings.as_string(number)])
        path = tf.where(remote, name, self._files[file])
        offset = tf.where(remote, tf.constant(0, tf.int64), self._offsets[number])
        # A data set that could not open its file tries again when it is asked again.
        at_once = _without_errors(_record_at(path, offset), 1)

        def later(_: tf.Tensor) -> tf.data.Dataset:
            # Told again: the record may have been there and gone before this was the one to read it.
            graph_messages.send(stream.receiver, WAITING, number, tf.constant(True))
            # Made here, since TensorFlow forgets the offset of one that a function takes from outside.
            return _without_errors(_delayed(_record_at(path, offset)), POLLS)

        rounds = tf.data.Dataset.range(tf.where(remote, tf.int64.max, tf.constant(0, tf.int64)))
        return at_once.concatenate(rounds.flat_map(later)).take(1)

    def place_of(self, number: tf.Tensor) -> tf.Tensor:
        """`record <number> of <file>`, in the graph."""
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
    """The records of a file from a byte offset on."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=tf.constant(0, tf.int64),
        byte_offsets=[offset],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _without_errors(records: tf.data.Dataset, attempts: int) -> tf.data.Dataset:
    """What so many attempts to get the next element give."""
    tries = tf.data.Dataset.zip(tf.data.Dataset.range(attempts), records)
    return tries.ignore_errors(log_warning=False).map(lambda _, record: record)


def _delayed(records: tf.data.Dataset) -> tf.data.Dataset:
    """Takes a short while before each attempt; unlike a Python function, this op has no state (ADR 7)."""
    variant = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        sleep_microseconds=tf.constant(POLL_MICROSECONDS, tf.int64),
        output_types=[tf.string],
        output_shapes=[tf.TensorShape([])],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def _refuse_failure(record: tf.Tensor) -> tf.Tensor:
    """0, unless the record is what stands in for one that cannot be had."""
    failed = tf.strings.substr(record, 0, len(FAILED)) == FAILED
    reason = tf.cond(
        failed, lambda: tf.strings.substr(record, len(FAILED), MOST_TOLD), lambda: tf.constant("")
    )
    with tf.control_dependencies([tf.Assert(~failed, [STREAM_FAILED, reason])]):
        return tf.constant(0, tf.int64)
