"""The experiment spec as typed, read-only objects with defaults applied.

Class and field names equal those in `experiment.proto`, which documents meaning and units; a test compares
them. Unset messages and unset members of a oneof are `None`. Lists are tuples. Maps are read-only and
sorted by key.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from frcnn.spec.schema.data import AugmentationConfig, DatasetConfig, DataSource
from frcnn.spec.schema.model import ModelConfig
from frcnn.spec.schema.run import EvaluationConfig, InferenceConfig
from frcnn.spec.schema.spec_base import SpecBase
from frcnn.spec.schema.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Experiment(SpecBase):
    """Experiment spec: data, model, training, evaluation and inference.

    `text` is the text of the file and `source` its name as given by the user. Neither is a field of the file.
    """

    random_seed: int = 42
    verbose: bool = False
    model_config: ModelConfig
    training_config: TrainingConfig
    dataset_config: DatasetConfig
    enc_key: str = field(default="", repr=False)
    augmentation_config: AugmentationConfig = field(default_factory=AugmentationConfig)
    inference_config: InferenceConfig = field(default_factory=InferenceConfig)
    evaluation_config: EvaluationConfig = field(default_factory=EvaluationConfig)
    text: str = field(default="", repr=False, compare=False)
    source: str = field(default="", compare=False)

    @classmethod
    def build(
        cls,
        *,
        arch: str,
        size_height_width: tuple[int, int],
        target_class_mapping: Mapping[str, str],
        tfrecords_path: str | os.PathLike[str],
        image_directory_path: str | os.PathLike[str] = "",
        image_extension: str = "jpg",
    ) -> "Experiment":
        """Builds a spec from the values that have no sensible default; the rest is taken from the user guide.

        Args:
            arch: Backbone, for example `resnet:18`.
            size_height_width: Height and width of the network input, px.
            target_class_mapping: Mapping from classes in the records to classes of the model.
            tfrecords_path: Glob of the record files.
            image_directory_path: Folder of the images; empty if the records contain them.
            image_extension: Extension of the images: `jpg`, `jpeg` or `png`.

        Returns:
            The checked spec. Fold 0 is the validation set.

        Raises:
            SpecError: A value is invalid; the message lists all invalid values.
        """
        from frcnn.spec.checked import checked_experiment
        from frcnn.spec.defaults import build

        return checked_experiment(
            build(
                arch=arch,
                size_height_width=size_height_width,
                target_class_mapping=target_class_mapping,
                tfrecords_path=tfrecords_path,
                image_directory_path=image_directory_path,
                image_extension=image_extension,
            )
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Sorted class names of the model, without background. The index of a class is its id."""
        return tuple(sorted(set(self.dataset_config.target_class_mapping.values())))

    def evaluated_on(self, tfrecords: str, images: Path | None) -> "Experiment":
        """Returns a copy of this spec with another validation set.

        Args:
            tfrecords: Glob of the record files.
            images: Folder of their images; `None` if the records contain them.

        Returns:
            The copy.
        """
        source = DataSource(tfrecords_path=tfrecords, image_directory_path=str(images or ""))
        dataset = replace(self.dataset_config, validation_fold=None, validation_data_source=source)
        return replace(self, dataset_config=dataset)
