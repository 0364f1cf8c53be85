from pathlib import Path

import pytest

from frcnn.errors import SpecError, UsageError
from frcnn.steps.default_conversion import kitti_export
from frcnn.steps.specs import (
    dataset_export_given,
    experiment_given,
    with_inference,
    with_records,
    with_root,
    with_training,
)
from tests.pipeline.tiny import SPEC, write_spec

COCO = """
coco_config {
  root_directory_path: "/there" img_dir_names: "a" annotation_files: "a.json" num_partitions: 1
}
"""


@pytest.fixture
def spec():
    return experiment_given(SPEC)


def test_text_file_name_and_file_address_give_the_same_spec(tmp_path, spec):
    path = write_spec(tmp_path / "spec.txt")
    assert experiment_given(str(path)) == spec
    assert experiment_given(f"file://{path}") == spec
    assert experiment_given(str(path)).source == str(path)


def test_a_text_on_one_line_is_a_text():
    with pytest.raises(SpecError, match="spec: "):
        experiment_given("model_config { }")


@pytest.mark.parametrize("given", ["gs://bucket/spec.txt", "https://host/spec.txt"])
def test_an_address_that_cannot_be_read_is_refused_with_a_remedy(given):
    with pytest.raises(UsageError, match="give its text, a file on a mounted volume, or s3://bucket/file"):
        experiment_given(given)


def test_an_empty_parameter_is_refused():
    with pytest.raises(UsageError, match="--convert-spec is empty"):
        dataset_export_given(" ")


def test_records_of_the_step_replace_the_specs_sources(spec):
    found = with_records(spec, Path("/artifacts/[1]/records")).dataset_config
    (source,) = found.data_sources
    assert source.tfrecords_path == "/artifacts/[[]1]/records/*"
    assert (found.validation_fold, found.validation_data_source) == (0, None)
    assert found.target_class_mapping == spec.dataset_config.target_class_mapping


def test_a_validation_fold_of_the_spec_stays():
    given = experiment_given(SPEC + "dataset_config { validation_fold: 3 }")
    assert with_records(given, Path("r")).dataset_config.validation_fold == 3


def test_a_validation_source_of_the_spec_gives_way_to_fold_0():
    extra = 'dataset_config { validation_data_source { tfrecords_path: "/val/*" } }'
    found = with_records(experiment_given(SPEC + extra), Path("r")).dataset_config
    assert (found.validation_fold, found.validation_data_source) == (0, None)


def test_start_and_length_of_training_are_replaced(spec):
    given = with_training(spec, epochs=7, retrain=Path("pruned.keras"))
    config = given.training_config
    assert (config.num_epochs, config.retrain_pruned_model) == (7, "pruned.keras")


def test_a_training_made_shorter_than_the_checkpoint_interval_leaves_a_checkpoint():
    given = experiment_given(SPEC + "training_config { checkpoint_interval: 5 }")
    intervals = [
        with_training(given, epochs=epochs, retrain=None).training_config.checkpoint_interval
        for epochs in (2, 7, 0)
    ]
    assert intervals == [2, 5, 5]


def test_without_a_start_training_begins_anew_whatever_the_spec_says():
    given = experiment_given(SPEC + 'training_config { resume_from_model: "a.epoch_1.tlt" }')
    config = with_training(given, epochs=0, retrain=None).training_config
    assert (config.num_epochs, config.resume_from_model, config.retrain_pruned_model) == (1, "", "")


def test_negative_epochs_are_refused(spec):
    with pytest.raises(UsageError, match="--epochs -1: expected 1 or more, or 0"):
        with_training(spec, epochs=-1, retrain=None)


def test_inference_reads_and_writes_where_the_step_says(spec):
    config = with_inference(spec, Path("/images"), Path("/out")).inference_config
    assert config.images_dir == "/images"
    assert config.detection_image_output_dir == "/out/images_annotated"
    assert config.labels_dump_dir == "/out/labels"
    assert config.rpn_nms_max_boxes == 32


def test_the_data_sets_folder_replaces_the_conversions(tmp_path):
    kitti = with_root(kitti_export(Path("/there"), "images", "labels", ".jpg"), tmp_path).kitti_config
    assert (kitti.root_directory_path, kitti.image_dir_name) == (str(tmp_path), "images")
    coco = with_root(dataset_export_given(COCO), tmp_path).coco_config
    assert (coco.root_directory_path, coco.annotation_files) == (str(tmp_path), ("a.json",))
