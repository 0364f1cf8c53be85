"""Settings of the training and validation data; resolved from the spec by `frcnn.settings.data`."""

from collections.abc import Mapping
from dataclasses import dataclass

from frcnn.data.transforms.image_settings import ImageSettings


@dataclass(frozen=True)
class SourceSettings:
    """Location of one set of records.

    Attributes:
        field: Field of the source in the spec, for messages.
        tfrecords_path: Glob of the record files, local or `s3://`.
        image_directory_path: Folder of the images; empty if the records contain them.
        weight: Sampling weight relative to the number of images.
        given: Whether `--tfrecords` names the records, and not the spec; messages name the flags then.
    """

    field: str
    tfrecords_path: str
    image_directory_path: str = ""
    weight: float = 1.0
    given: bool = False

    @property
    def records_field(self) -> str:
        """Returns the flag or the field of the spec that names the records, for messages."""
        return "--tfrecords" if self.given else f"{self.field}.tfrecords_path"


@dataclass(frozen=True)
class CropSettings:
    """Scaling and crop window of images that are not resized, px; 0 where a value is not set."""

    scale_width: float = 0.0
    scale_height: float = 0.0
    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclass(frozen=True)
class SpatialSettings:
    """Limits of random spatial changes; the defaults change nothing.

    Attributes:
        hflip: Probability of a horizontal flip.
        vflip: Probability of a vertical flip.
        translate_x: Maximum horizontal shift in either direction, px.
        translate_y: Maximum vertical shift in either direction, px.
        zoom_min: Minimum zoom ratio. Content is scaled by 1 / ratio, so ratios below 1 magnify it.
        zoom_max: Maximum zoom ratio.
        rotate_max: Maximum rotation in either direction, radians.
        rotate_probability: Probability of a rotation.
    """

    hflip: float = 0.0
    vflip: float = 0.0
    translate_x: int = 0
    translate_y: int = 0
    zoom_min: float = 1.0
    zoom_max: float = 1.0
    rotate_max: float = 0.0
    rotate_probability: float = 1.0

    @property
    def only_flips(self) -> bool:
        """Returns whether flips are the only change, so that no interpolation is needed."""
        moves = self.translate_x or self.translate_y or self.rotate_max
        return not moves and self.zoom_min == self.zoom_max == 1.0


@dataclass(frozen=True)
class ColorSettings:
    """Limits of random color changes; 0 disables a change. Pixel values are 0..1 here.

    Attributes:
        shift_stddev: Standard deviation of the shift of all channels; samples are truncated at twice this.
        hue_max: Maximum hue rotation, degrees.
        saturation_max: Maximum relative change of saturation; the factor is in 1 - this..1 + this.
        contrast_max: Maximum relative change of contrast; the factor is in 1 - this..1 + this.
        contrast_center: Pixel value that contrast changes leave unchanged.
    """

    shift_stddev: float = 0.0
    hue_max: float = 0.0
    saturation_max: float = 0.0
    contrast_max: float = 0.0
    contrast_center: float = 0.5

    @property
    def active(self) -> bool:
        """Returns whether any color change is enabled."""
        return any((self.shift_stddev, self.hue_max, self.saturation_max, self.contrast_max))


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Records, images, classes and augmentation of one run.

    Attributes:
        sources: Sets of records to train on.
        validation_source: Set of records to validate on; None if a fold of `sources` is used, or nothing.
        validation_fold: Fold of `sources` to validate on; None if there is none.
        uniform_sampling: Whether all sources are sampled equally often, whatever their size and weight.
        image_extension: Extension of the images: `jpg`, `jpeg` or `png`, in any case.
        class_mapping: Classes of the model by lower-case class in the records.
        class_names: Classes of the model in the order of their ids.
        image: Input format of the network.
        max_objects: Maximum number of objects per image.
        batch_size: Images per training batch of one process.
        seed: Random seed of order and augmentation.
        augmented: Whether training images are augmented.
        crop: Scaling and crop window.
        spatial: Limits of spatial augmentation.
        color: Limits of color augmentation.
        min_box_height: Minimum height of a box to train on, px of the network input.
        min_box_width: Minimum width of a box to train on, px of the network input.
    """

    sources: tuple[SourceSettings, ...]
    validation_source: SourceSettings | None
    validation_fold: int | None
    uniform_sampling: bool
    image_extension: str
    class_mapping: Mapping[str, str]
    class_names: tuple[str, ...]
    image: ImageSettings
    max_objects: int
    batch_size: int
    seed: int
    augmented: bool
    crop: CropSettings
    spatial: SpatialSettings
    color: ColorSettings
    min_box_height: float
    min_box_width: float

    @property
    def has_validation(self) -> bool:
        """Returns whether there is a validation set."""
        return self.validation_source is not None or self.validation_fold is not None
