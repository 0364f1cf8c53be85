from pathlib import Path

import pytest

from frcnn.errors import SpecError, UsageError
from frcnn.settings.inference import InferenceSettings, inference_settings
from frcnn.spec.schema.run import InferenceConfig


class Spec:
    """The parts of an experiment that inference reads."""

    source = "spec.txt"
    class_names = ("car", "person")

    def __init__(self, **fields):
        self.inference_config = InferenceConfig(**fields)


def test_everything_comes_from_the_spec(tmp_path):
    spec = Spec(
        images_dir=str(tmp_path),
        detection_image_output_dir="/out/drawn",
        labels_dump_dir="/out/labels",
        bbox_visualize_threshold=0.7,
        bbox_caption_on=True,
        batch_size=4,
    )
    assert inference_settings(spec, results_dir=Path("/results")) == InferenceSettings(
        images_dir=tmp_path,
        image_output_dir=Path("/out/drawn"),
        label_dir=Path("/out/labels"),
        class_names=("car", "person"),
        score_threshold=0.7,
        captions=True,
        batch_size=4,
    )


def test_captions_of_the_command_line_win(tmp_path):
    spec = Spec(images_dir=str(tmp_path), bbox_caption_on=True)
    assert not inference_settings(spec, results_dir=Path("/results"), captions=False).captions


def test_the_results_folder_holds_what_the_spec_names_no_folder_for(tmp_path):
    settings = inference_settings(Spec(images_dir=str(tmp_path)), results_dir=Path("/results"))
    assert settings.image_output_dir == Path("/results/images_annotated")
    assert settings.label_dir == Path("/results/labels")


def test_all_missing_folders_are_named_at_once():
    with pytest.raises(SpecError) as caught:
        inference_settings(Spec())
    assert [problem.path for problem in caught.value.problems] == [
        "inference_config.images_dir",
        "inference_config.detection_image_output_dir",
        "inference_config.labels_dump_dir",
    ]


@pytest.mark.parametrize("name", ["missing", "file.jpg"])
def test_an_image_folder_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "file.jpg").touch()
    with pytest.raises(SpecError, match=f"{name} (does not exist|is a file)"):
        inference_settings(Spec(images_dir=str(tmp_path / name)), results_dir=tmp_path)


def test_annotated_images_may_not_replace_their_originals(tmp_path):
    spec = Spec(images_dir=str(tmp_path), detection_image_output_dir=f"{tmp_path}/.")
    with pytest.raises(UsageError, match="replace their originals"):
        inference_settings(spec, results_dir=tmp_path)
