"""Worker process: trains torchvision's FasterRCNN on a job of the accuracy benchmark.

    .venv-peer/bin/python -m benchmarks.accuracy_peer JOB.json SEED ANSWER.json

`accuracy.py` starts it with the interpreter that has torchvision (requirements-peer.txt). Backbone, head,
anchors, input, batch size, optimizer and schedule come from the job. Everything else is torchvision's
default: RoIAlign with four samples per bin, losses, matching, sampling fractions, initialization.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet18
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from benchmarks.accuracy_job import Answer, Job, Picture, Rows
from benchmarks.peer_torchvision import InLayout, NetworkReady

SCORE_THRESHOLD = 0.01
# RPN boxes before and after NMS in training, as in the spec of accuracy_ours.
TRAIN_PROPOSALS = (2000, 400)


def build(job: Job) -> FasterRCNN:
    """Builds the detector of a job: backbone of stride 16, head at stride 1.

    Args:
        job: Job.

    Returns:
        The model.
    """
    trunk, channels, head, width = _mobilenet(job) if job.arch == "mobilenet_v2" else _resnet()
    ratios = (0.5, 1.0, 2.0)
    model = FasterRCNN(
        backbone=InLayout(trunk, out_channels=channels),
        min_size=job.height,
        max_size=job.width,
        rpn_anchor_generator=AnchorGenerator((tuple(job.scales),), (ratios,)),
        rpn_pre_nms_top_n_train=TRAIN_PROPOSALS[0],
        rpn_post_nms_top_n_train=TRAIN_PROPOSALS[1],
        rpn_pre_nms_top_n_test=1000,
        rpn_post_nms_top_n_test=job.proposals,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, sampling_ratio=2),
        box_head=InLayout(nn.Sequential(head, nn.AdaptiveAvgPool2d(1), nn.Flatten()), out_channels=width),
        box_predictor=FastRCNNPredictor(width, len(job.classes) + 1),
        box_score_thresh=SCORE_THRESHOLD,
        box_nms_thresh=0.4,
        box_detections_per_img=100,
        box_batch_size_per_image=job.rois,
    )
    model.transform = NetworkReady(job.height, job.width, [0.0] * 3, [1.0] * 3)
    return model


def _mobilenet(job: Job) -> tuple[nn.Module, int, nn.Module, int]:
    """Returns backbone, its output channels, head, and its output channels of MobileNetV2."""
    net = mobilenet_v2(weights=None)
    if job.weights:
        # The file is from an older torchvision with other layer names, but in the same order.
        state = torch.load(job.weights, map_location="cpu", weights_only=True)
        values = [value for name, value in state.items() if name.startswith("features.")]
        names = [name for name in net.features.state_dict() if not name.endswith("num_batches_tracked")]
        values = [value for value in values if value.ndim]
        missing = net.features.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
        if any(not name.endswith("num_batches_tracked") for name in missing.missing_keys):
            raise ValueError(f"{job.weights}: lacks {missing.missing_keys}")
    layers = list(net.features)
    layers[14].conv[1][0].stride = (1, 1)
    return nn.Sequential(*layers[:14]), 96, nn.Sequential(*layers[14:]), 1280


def _resnet() -> tuple[nn.Module, int, nn.Module, int]:
    """Returns backbone, its output channels, head, and its output channels of ResNet-18."""
    net = resnet18(weights=None)
    first = net.layer4[0]
    first.conv1.stride = first.downsample[0].stride = (1, 1)
    trunk = (net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3)
    return nn.Sequential(*trunk), 256, net.layer4, 512


def _tensors(job: Job, picture: Picture, flip: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
    """Loads an image, float32 `[3, H, W]`, and its target for torchvision; `flip` mirrors both."""
    with Image.open(picture.path) as opened:
        resized = opened.convert("RGB").resize((job.width, job.height), Image.Resampling.BILINEAR)
    pixels = (np.asarray(resized, np.float32) - np.float32(job.mean)) / np.float32(job.factor)
    scale = np.float32([job.width / picture.width, job.height / picture.height] * 2)
    boxes = np.float32(picture.boxes).reshape(-1, 4) * scale
    if flip:
        pixels = pixels[:, ::-1]
        boxes = np.stack([job.width - boxes[:, 2], boxes[:, 1], job.width - boxes[:, 0], boxes[:, 3]], axis=1)
    labels = torch.tensor(picture.classes, dtype=torch.int64) + 1
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return image, {"boxes": torch.from_numpy(boxes), "labels": labels}


def _batches(job: Job, random: np.random.Generator) -> Iterator[list[tuple[Tensor, dict[str, Tensor]]]]:
    """Generates the batches of one epoch; completes the last one from its start, as this project does."""
    pictures = job.splits["train"]
    order = random.permutation(len(pictures))
    steps = -(-len(order) // job.batch)
    order = np.resize(order, steps * job.batch)
    for numbers in order.reshape(steps, job.batch):
        yield [_tensors(job, pictures[number], bool(random.random() < 0.5)) for number in numbers]


def found(job: Job, model: FasterRCNN, split: str) -> list[Rows]:
    """Detects objects in all images of a split.

    Args:
        job: Job.
        model: Detector.
        split: `val` or `test`.

    Returns:
        Detections in each image.
    """
    model.eval()
    rows = []
    with torch.inference_mode():
        for picture in job.splits[split]:
            (one,) = model([_tensors(job, picture)[0]])
            columns = (one["boxes"], one["scores"][:, None], one["labels"][:, None] - 1.0)
            rows.append(torch.cat(columns, dim=1).tolist())
    return rows


def run(job: Job, seed: int) -> Answer:
    """Trains a detector and collects its detections.

    Args:
        job: Job.
        seed: Random seed.

    Returns:
        Result of the training.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = build(job)
    optimizer = torch.optim.Adam(model.parameters(), lr=job.rate)
    answer, step = Answer([], [], []), 0
    total = job.epochs * -(-len(job.splits["train"]) // job.batch)
    for epoch in range(job.epochs):
        model.train()
        began = time.monotonic()
        for batch in _batches(job, random):
            optimizer.param_groups[0]["lr"] = job.learning_rate(step, total)
            images, targets = zip(*batch, strict=True)
            loss = sum(model(list(images), list(targets)).values())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
        answer.seconds.append(time.monotonic() - began)
        answer.val.append(found(job, model, "val"))
        print(f"{job.name}, seed {seed}: epoch {epoch + 1}, loss {float(loss.detach()):.3f}", flush=True)
    answer.test = found(job, model, "test")
    return answer


def main() -> None:
    """Runs the command."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("job", type=Path, help="job file")
    flags.add_argument("seed", type=int, help="random seed")
    flags.add_argument("answer", type=Path, help="result file to write")
    args = flags.parse_args()
    torch.set_flush_denormal(True)
    run(Job.load(args.job), args.seed).save(args.answer)


if __name__ == "__main__":
    main()
