"""Methods of both kinds of specs."""

import os
from collections.abc import Mapping
from typing import Self


class SpecBase:
    """Spec that is read from protobuf text, or built and changed in Python."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a spec from a file or an `s3://` URI.

        Args:
            path: File name or URI of protobuf text in UTF-8.

        Returns:
            The checked spec.

        Raises:
            SpecError: The file cannot be read, or the spec has errors; the message lists all of them.
            StoreError: The object on S3 cannot be read.
        """
        from frcnn.spec import python_api

        return python_api.load(cls, path)

    @classmethod
    def parse(cls, text: str, source: str = "") -> Self:
        """Parses a spec.

        Args:
            text: Protobuf text.
            source: Name of the spec in messages.

        Returns:
            The checked spec.

        Raises:
            SpecError: The spec has errors; the message lists all of them.
        """
        from frcnn.spec import python_api

        return python_api.parse(cls, text, source)

    def updated(self, values: Mapping[str, object]) -> Self:
        """Returns a checked copy of this spec with some values replaced.

        Args:
            values: New values by path, for example `training_config.num_epochs`,
                `dataset_config.data_sources[0].tfrecords_path` or
                `dataset_config.target_class_mapping["van"]`. Setting one of several mutually exclusive
                fields removes the others.

        Returns:
            The checked copy.

        Raises:
            SpecError: A field does not exist or a value is invalid; the message lists all errors.
        """
        from frcnn.spec import python_api

        return python_api.updated(self, values)

    def to_text(self, *, secrets: bool = False) -> str:
        """Writes the spec as protobuf text with all values, including defaults.

        Args:
            secrets: Whether to include the keys: `enc_key` and that of Weights & Biases.

        Returns:
            Text that `parse` reads back as an equal spec. Keys that were left out are then empty.
        """
        from frcnn.spec.show import text_of

        return text_of(self, secrets=secrets)
