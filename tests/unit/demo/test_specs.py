import pytest

from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.demo.specs import (
    Paths,
    Survey,
    anchor_scales,
    convert_spec,
    experiment_spec,
    input_size,
    survey,
)
from frcnn.errors import DataError
from frcnn.spec import load_dataset_export, load_experiment

SMALL = Survey(100, 240, 320, ("car", "traffic light"), (16.0, 32.0, 90.0), 7)


def record(*labels, height=240, width=320):
    return ImageRecord("images/1", height, width, tuple(Label(name, *box) for name, *box in labels))


def test_survey_finds_sizes_classes_and_the_most_objects():
    found = survey(
        [
            record(("truck", 0, 0, 40, 10), ("car", 0, 0, 20, 20)),
            record(("car", 0, 0, 60, 60)),
            record(height=480, width=640),
        ]
    )
    assert (found.images, found.height, found.width) == (3, 240, 320)
    assert found.classes == ("car", "truck")
    assert found.max_objects == 2
    assert found.box_sides == pytest.approx((20, 20, 60))


def test_box_sides_are_measured_in_the_network_input():
    # 1536 x 1152 is quartered for the network, and so is the box.
    found = survey([record(("car", 0, 0, 200, 200), height=1152, width=1536)])
    assert found.input_size == (288, 384)
    assert found.box_sides == pytest.approx((50,))


def test_regions_that_nobody_labeled_are_no_class():
    found = survey([record(("dontcare", 0, 0, 40, 10), ("car", 0, 0, 20, 20))])
    assert (found.classes, found.max_objects) == (("car",), 1)


@pytest.mark.parametrize("records", [[], [record()], [record(("dontcare", 0, 0, 40, 10))]])
def test_a_data_set_without_objects_is_refused(records):
    with pytest.raises(DataError, match="no labeled object"):
        survey(records)


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
def test_input_size_keeps_the_shape_in_whole_strides(image, network):
    assert input_size(*image) == network


@pytest.mark.parametrize(
    ("sides", "scales"),
    [
        ([10.0, 32.0, 100.0], (16, 32, 96)),
        ([64.0], (32, 64, 128)),
        ([30.0, 30.0, 120.0], (16, 32, 120)),
    ],
)
def test_anchor_scales_are_three_and_follow_the_boxes(sides, scales):
    assert anchor_scales(sides) == scales


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
    path.write_text(experiment_spec(SMALL, paths, ".JPG", epochs=9))
    spec = load_experiment(path)
    size = spec.model_config.input_image_config.size_height_width
    assert (size.height, size.width) == (240, 320)
    assert spec.class_names == ("car", "traffic light")
    assert spec.dataset_config.image_extension == "jpg"
    assert spec.dataset_config.data_sources[0].tfrecords_path.endswith(
        "out [[]1]/run/latest/convert/records/set-fold-*"
    )
    assert spec.training_config.num_epochs == 9
    assert spec.model_config.roi_mini_batch == 16
    assert spec.evaluation_config.model == str(paths.model)
    assert tuple(spec.model_config.anchor_box_config.scale) == anchor_scales(SMALL.box_sides)
