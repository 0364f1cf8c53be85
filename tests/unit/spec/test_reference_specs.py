"""Every sample spec of TAO's user guide, as a change to their common base."""

import pytest

from frcnn.spec.load import parse_experiment
from tests.unit.spec.samples import REFERENCE, changed

BACKBONES = {
    **{f"resnet{n}": [("resnet:18", f"resnet:{n}")] for n in (10, 18, 34, 50, 101)},
    "resnet_101": [('"resnet:18"', '"resnet101"')],
    **{f"darknet{n}": [("resnet:18", f"darknet:{n}"), ("num_epochs: 12", "num_epochs: 1")] for n in (19, 53)},
    "googlenet": [("resnet:18", "googlenet")],
    **{
        f"mobilenet_v{n}": [("resnet:18", f"mobilenet_v{n}"), ("use_bias: True", "use_bias: False")]
        for n in (1, 2)
    },
    **{
        f"vgg{n}": [
            ("resnet:18", f"vgg:{n}"),
            ("freeze_blocks: 0\n  freeze_blocks: 1", "freeze_blocks: 1 freeze_blocks: 2 dropout_rate: 0.5"),
            ("use_bias: True", "use_bias: False"),
            ("num_epochs: 12", "num_epochs: 1"),
        ]
        for n in (16, 19)
    },
    "vgg": [
        ('"resnet:18"', '"vgg16"'),
        ("freeze_blocks: 0\n  freeze_blocks: 1", "freeze_blocks: 1 freeze_blocks: 2 dropout_rate: 0.5"),
        ("num_epochs: 12", "num_epochs: 1"),
    ],
    "efficientnet_b0": [
        ("resnet:18", "efficientnet:b0"),
        ("freeze_blocks: 0\n  freeze_blocks: 1", 'activation { activation_type: "relu" }'),
        ("num_epochs: 12", "num_epochs: 30"),
        ("use_bias: True", "use_bias: False"),
    ],
    **{
        f"efficientnet_b{n}": [("resnet:18", f"efficientnet:b{n}"), ("use_bias: True", "use_bias: False")]
        for n in range(1, 8)
    },
}
WAYS = {
    "": [],
    "bs2": [("batch_size_per_gpu: 1", "batch_size_per_gpu: 2")],
    "qat": [("enable_qat: False", "enable_qat: True")],
}
ADAM = "optimizer { adam { lr: 0.00001 beta_1: 0.9 beta_2: 0.999 decay: 0.0 } }"
STEP = "learning_rate { step { base_lr: 0.00001 gamma: 1.0 step_size: 30 } }"
OTHERS = {
    "sgd": [(ADAM, "optimizer { sgd { lr: 1e-5 momentum: 0.9 decay: 0.0 nesterov: False } }")],
    "rmsprop": [(ADAM, "optimizer { rmsprop { lr: 0.00001 } }")],
    "annealing_lr": [
        (STEP, "learning_rate { soft_start { base_lr: 1e-5 start_lr: 1e-6 soft_start: 0.1 "
         "annealing_points: 0.7 annealing_divider: 10.0 } }")
    ],
    "no_aug": [("enable_augmentation: True", "enable_augmentation: False")],
    "caption_on": [("images_dir:", "bbox_caption_on: True images_dir:")],
    "ckpt_intvl": [("num_epochs: 12", "num_epochs: 12 checkpoint_interval: 3")],
    "retrain": [("num_epochs: 12", "num_epochs: 1 retrain_pruned_model: '/results/pruned.tlt'")],
    "resume": [("num_epochs: 12", "num_epochs: 2\n# resume_from_model: '/results/x.epoch_1.tlt'\n")],
    "trt_infer": [("images_dir:", "trt_inference { trt_engine: '/results/x.engine' } images_dir:")],
    "trt_eval": [("gt_matching_iou_threshold: 0.5", "trt_evaluation { } gt_matching_iou_threshold: 0.5")],
    "visualizer": [
        ("num_epochs: 12", "num_epochs: 12 visualizer { enabled: True num_images: 3 }"),
        ("gt_matching_iou_threshold: 0.5", "gt_matching_iou_threshold: 0.5 visualize_pr_curve: True"),
    ],
    "grayscale": [
        ("image_type: RGB", "image_type: GRAY_SCALE"),
        ("'bgr'", "'l'"),
        ("key: 'b' value: 103.939", "key: 'l' value: 127.5"),
        ("    image_channel_mean { key: 'g' value: 116.779 }\n", ""),
        ("    image_channel_mean { key: 'r' value: 123.68 }\n", ""),
    ],
    "voc0712": [
        ("height: 384 width: 1280", "height: 600 width: 1000"),
        ("output_image_width: 1280\n    output_image_height: 384",
         "output_image_width: 1000 output_image_height: 600"),
        ("image_extension: 'png'", "image_extension: 'jpg'"),
        ('"resnet:18"', '"vgg16"'),
        ("freeze_blocks: 0\n", "freeze_blocks: 2\n"),
        ("scale: 64.0 scale: 128.0 scale: 256.0", "scale: 32 scale: 128.0 scale: 256.0 scale: 512"),
        ("pool_size_2x: False", "pool_size_2x: True"),
        ("validation_fold: 0", "validation_data_source { tfrecords_path: '/v*' image_directory_path: '/v' }"),
        ("zoom_min: 1.0", "hflip_probability: 0.5 zoom_min: 1.0"),
        ("num_epochs: 12", "num_epochs: 20"),
        ("use_voc07_11point_metric: False", "use_voc07_11point_metric: True"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("way", WAYS)
def test_backbones_load_in_every_way(backbone, way):
    spec = parse_experiment(changed(REFERENCE, *BACKBONES[backbone], *WAYS[way])).spec
    assert (
        spec.model_config.arch.partition(":")[0]
        .rstrip("0123456789")
        .startswith(backbone.rstrip("0123456789")[:3])
    )
    assert spec.training_config.batch_size_per_gpu == (2 if way == "bs2" else 1)
    assert spec.training_config.enable_qat == (way == "qat")


@pytest.mark.parametrize("name", OTHERS)
def test_other_samples_load(name, caplog):
    parse_experiment(changed(REFERENCE, *OTHERS[name]))
    # The older vgg16 has no use for two options that the base sample sets; the sample for gray images says 3
    # channels; engines have a field of their own in old specs only.
    remarked = {
        "voc0712": ["model_config.all_projections", "model_config.use_bias"],
        "grayscale": ["augmentation_config.preprocessing.output_image_channel"],
        "trt_infer": ["inference_config.trt_inference"],
        "trt_eval": ["evaluation_config.trt_evaluation"],
    }
    assert [message.split()[2].rstrip(":") for message in caplog.messages] == remarked.get(name, [])
