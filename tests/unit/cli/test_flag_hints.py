"""What a command answers to flags that it does not have."""

import pytest

from frcnn.cli.main import main

TRAIN = ["train", "-e", "S", "-r", "R"]
RUN = ["pipeline", "run", "--data", "D"]


def refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ([*TRAIN, "--epochss", "3"], "--epochs"),
        ([*TRAIN, "--use-amp"], "--use_amp"),
        ([*RUN, "--convert_specs", "x"], "--convert_spec"),
        (["spec", "new", "--data", "D", "-o", "O", "--gaol=speed"], "--goal"),
        (["inference", "-e", "S", "-m", "M", "--source", "photos"], "--images"),
        (["inference", "-e", "S", "-m", "M", "--conf", "0.3"], "--threshold"),
    ],
)
def test_a_mistyped_flag_gets_the_nearest_one(words, near, capsys):
    message = refused(words, capsys)
    assert "unrecognized arguments: " in message
    assert message.endswith(f"; did you mean {near}?")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (
            [*TRAIN, "--lr", "0.1"],
            [
                "training_config.learning_rate.soft_start.base_lr=0.1",
                "training_config.learning_rate.step.base_lr=0.1",
            ],
        ),
        (
            [*TRAIN, "--batch", "4"],
            [
                "training_config.batch_size_per_gpu=4",
                "training_config.rpn_mini_batch=4",
                "inference_config.batch_size=4",
            ],
        ),
        ([*RUN, "--random_seed=7"], ["random_seed=7"]),
        ([*TRAIN, "--checkpoint-interval"], ["training_config.checkpoint_interval=VALUE"]),
        (["dataset_convert", "-d", "S", "-o", "O", "--val_split", "3"], ["kitti_config.val_split=3"]),
        (
            ["inference", "-e", "S", "-m", "M", "--rpn_nms_max_boxes", "2"],
            [
                "inference_config.rpn_nms_max_boxes=2",
                "training_config.rpn_nms_max_boxes=2",
                "evaluation_config.rpn_nms_max_boxes=2",
            ],
        ),
    ],
)
def test_a_flag_like_a_field_gets_the_setting_of_the_field(words, settings, capsys):
    expected = " or ".join(f"--set {each}" for each in settings)
    assert refused(words, capsys).endswith(f" is no flag; set the field of the spec: {expected}")


def test_another_flag_gets_the_form_of_settings_where_there_are_any(capsys):
    message = refused([*TRAIN, "--nonsense"], capsys)
    assert message.endswith("; --nonsense is no flag; fields of the spec are set with --set FIELD=VALUE")
    assert refused(["demo", "--nonsense"], capsys).endswith("unrecognized arguments: --nonsense")


def test_unknown_words_that_are_no_flags_get_no_hint(capsys):
    assert refused([*TRAIN, "more"], capsys).endswith("unrecognized arguments: more")


@pytest.mark.parametrize("flag", [["-e"], ["--experiment_spec"], []])
def test_the_spec_may_follow_the_flag_that_other_commands_have(flag, capsys, tmp_path):
    spec = tmp_path / "experiment.txt"
    spec.write_text("random_seed: true")
    assert main(["spec", "check", *flag, str(spec)]) == 2
    assert f"{spec}:" in capsys.readouterr().err.replace("\n", ":")
    assert main(["model", "summary", *flag, str(spec)]) == 2
    assert f"{spec}:" in capsys.readouterr().err.replace("\n", ":")
