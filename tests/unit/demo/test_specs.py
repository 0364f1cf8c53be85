import dataclasses

import pytest

from frcnn.demo.specs import LIMITS, SYNTHETIC_LIMITS, Paths, choices_for, convert_spec, experiment_spec
from frcnn.spec import load_dataset_export, load_experiment
from frcnn.spec_writing.choices import input_size
from tests.unit.spec_writing.test_choices import facts

SMALL = dataclasses.replace(
    facts(), images=100, height=240, width=320, classes={"car": 150, "traffic light": 50}, most_objects=7,
    many_objects=5,
)  # fmt: skip


@pytest.mark.parametrize(
    ("image", "network"),
    [
        ((480, 640), (288, 384)),
        ((375, 1242), (176, 608)),
        ((100, 100), (128, 128)),
        ((3000, 4000), (288, 384)),
        ((241, 323), (240, 320)),
    ],
)
def test_only_the_number_of_pixels_reduces_images(image, network):
    assert input_size(*image, 200.0, LIMITS) == network


def test_synthetic_scenes_are_reduced_to_half_of_their_sides():
    assert input_size(256, 352, 100.0, SYNTHETIC_LIMITS) == (128, 176)


def test_the_convert_spec_is_valid(tmp_path):
    path = tmp_path / "convert.txt"
    folder = tmp_path / 'a "quoted" folder'
    path.write_text(convert_spec(folder, "images", "labels", ".JPG"))
    config = load_dataset_export(path).kitti_config
    assert config.root_directory_path == str(folder)
    assert (config.image_extension, config.val_split, config.num_partitions) == (".JPG", 20, 2)


def test_the_experiment_spec_is_valid_and_holds_what_was_found(tmp_path):
    path = tmp_path / "experiment.txt"
    paths = Paths(tmp_path / "out [1]", tmp_path)
    path.write_text(experiment_spec(choices_for(SMALL, epochs=9), paths, ".JPG", "by hand"))
    spec = load_experiment(path)
    size = spec.model_config.input_image_config.size_height_width
    assert (size.height, size.width) == (240, 320)
    assert spec.class_names == ("car", "traffic light")
    assert spec.dataset_config.image_extension == "jpg"
    assert spec.dataset_config.data_sources[0].tfrecords_path.endswith(
        "out [[]1]/run/latest/convert/records/set-fold-*"
    )
    assert spec.training_config.num_epochs == 9
    assert spec.model_config.arch == "resnet:10"
    assert spec.model_config.roi_mini_batch == 32
    assert spec.training_config.average_weights
    assert spec.evaluation_config.model == str(paths.model)
    assert spec.inference_config.images_dir == str(paths.samples)
