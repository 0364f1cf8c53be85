"""Worker process: torchvision's FasterRCNN with this project's backbone, head and settings.

`run_speed.py` and `run_export.py` start it with the interpreter that has torchvision (requirements-peer.txt).
Wherever there is a choice, it favors torchvision: see README.md, "What is compared".
"""

import argparse
import functools
import time
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.models.resnet import ResNet, resnet18
from torchvision.ops import MultiScaleRoIAlign

from benchmarks.settings import SETTINGS, Scene, Settings, random_scene
from benchmarks.workers import serve

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
WARM_UP_STEPS = 2
LAYOUT_ROUNDS = 3


class NetworkReady(GeneralizedRCNNTransform):
    """Transform that leaves preprocessed images unchanged, since both sides get such images."""

    def normalize(self, image: Tensor) -> Tensor:
        """Returns the image unchanged."""
        return image

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Returns image and target unchanged."""
        return image, target


class InLayout(nn.Module):
    """Module that converts its input to the memory layout under test."""

    def __init__(self, inner: nn.Module, out_channels: int) -> None:
        """Wraps a module.

        Args:
            inner: Module.
            out_channels: Number of output channels, which torchvision expects of a backbone.
        """
        super().__init__()
        self.inner = inner
        self.out_channels = out_channels
        self.layout = torch.contiguous_format

    def forward(self, x: Tensor) -> Tensor:
        """Returns the output of the inner module.

        Args:
            x: Input tensor.

        Returns:
            Output tensor.
        """
        out: Tensor = self.inner(x.contiguous(memory_format=self.layout))
        return out


class WideRPNHead(RPNHead):
    """torchvision's RPN head with a configurable number of channels in its 3x3 convolution."""

    def __init__(self, in_channels: int, channels: int, anchors: int) -> None:
        """Creates the head.

        Args:
            in_channels: Number of input channels.
            channels: Number of channels of the convolution.
            anchors: Number of anchors per position; each gets one score and four box deltas.
        """
        super().__init__(channels, anchors)
        self.conv = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU())


def build(settings: Settings) -> FasterRCNN:
    """Builds a FasterRCNN with random weights.

    The backbone is resnet18's conv1 to layer3 (stride 16), the head is layer4 at stride 1.

    Args:
        settings: Shared settings.

    Returns:
        The model.
    """
    resnet = resnet18(weights=None)
    anchors = AnchorGenerator(
        (tuple(int(scale) for scale in settings.anchor_scales),),
        # torchvision's ratio is height / width.
        (tuple(1.0 / ratio for ratio in settings.anchor_ratios),),
    )
    model = FasterRCNN(
        backbone=InLayout(_trunk(resnet), out_channels=256),
        min_size=settings.height,
        max_size=settings.width,
        rpn_anchor_generator=anchors,
        rpn_head=WideRPNHead(256, settings.rpn_channels, anchors.num_anchors_per_location()[0]),
        rpn_pre_nms_top_n_train=settings.train_pre_nms,
        rpn_pre_nms_top_n_test=settings.infer_pre_nms,
        rpn_post_nms_top_n_train=settings.train_post_nms,
        rpn_post_nms_top_n_test=settings.infer_post_nms,
        rpn_nms_thresh=settings.rpn_nms_threshold,
        rpn_fg_iou_thresh=settings.rpn_max_overlap,
        rpn_bg_iou_thresh=settings.rpn_min_overlap,
        rpn_batch_size_per_image=settings.rpn_mini_batch,
        # crop_and_resize takes one bilinear sample per bin; more would slow torchvision down.
        box_roi_pool=MultiScaleRoIAlign(["0"], settings.pool_size, sampling_ratio=1),
        box_head=InLayout(_head(resnet), out_channels=512),
        box_predictor=FastRCNNPredictor(512, len(settings.class_names) + 1),
        box_score_thresh=settings.score_threshold,
        box_nms_thresh=settings.nms_threshold,
        box_detections_per_img=settings.max_detections,
        box_fg_iou_thresh=settings.roi_overlap,
        box_bg_iou_thresh=settings.roi_overlap,
        box_batch_size_per_image=settings.roi_mini_batch,
        bbox_reg_weights=settings.code_weights,
    )
    model.transform = NetworkReady(settings.height, settings.width, [0.0] * 3, [1.0] * 3)
    return model


def _trunk(resnet: ResNet) -> nn.Module:
    """Returns the backbone: the layers up to layer3."""
    return nn.Sequential(
        resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool, resnet.layer1, resnet.layer2, resnet.layer3
    )


def _head(resnet: ResNet) -> nn.Module:
    """Returns the head: layer4 at stride 1, then average pooling."""
    first = resnet.layer4[0]
    first.conv1.stride = (1, 1)
    first.downsample[0].stride = (1, 1)
    return nn.Sequential(resnet.layer4, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Peer:
    """torchvision's side of the benchmark."""

    def __init__(self, precision: str, batch: int, layout: str) -> None:
        """Builds model and data.

        Args:
            precision: `float32` or `bfloat16`.
            batch: Batch size.
            layout: Key of `LAYOUTS`, or `auto` to choose the faster layout for each phase.
        """
        torch.manual_seed(42)
        self.model = build(SETTINGS)
        self.layout = layout
        self.autocast = functools.partial(
            torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bfloat16"
        )
        scene = random_scene(batch)
        self.images = [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in scene.images]
        self.targets = _targets(scene)
        self.counts: dict[str, Any] = {}
        self.model.roi_heads.box_roi_pool.register_forward_pre_hook(self._count_rois)

    def _count_rois(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.counts["rois"] = [len(boxes) for boxes in inputs[1]]

    def prepare(self, phase: str) -> dict[str, Any]:
        """Chooses the memory layout for a phase and warms up.

        Args:
            phase: `train` or `infer`.

        Returns:
            Dict with the layout and, if it was chosen, the seconds of each.
        """
        self.counts.clear()
        if self.layout != "auto":
            self._use(self.layout)
            self._warm_up(phase)
            return {"layout": self.layout}
        seconds = dict.fromkeys(LAYOUTS, float("inf"))
        # Alternate, and compare minimum times, so that other load does not affect the choice.
        for _ in range(LAYOUT_ROUNDS):
            for layout in LAYOUTS:
                self._use(layout)
                self.step(phase)
                seconds[layout] = min(seconds[layout], self._timed_step(phase))
        best = min(seconds, key=lambda layout: seconds[layout])
        self._use(best)
        self._warm_up(phase)
        return {"layout": best, "layout_seconds": seconds}

    def _use(self, layout: str) -> None:
        """Converts the model to a memory layout and creates a new optimizer."""
        self.model.to(memory_format=LAYOUTS[layout])
        for module in self.model.modules():
            if isinstance(module, InLayout):
                module.layout = LAYOUTS[layout]
        # A new optimizer is needed: momentum in the other layout would slow the update down.
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=SETTINGS.learning_rate,
            momentum=SETTINGS.momentum,
            weight_decay=SETTINGS.weight_decay,
        )

    def _warm_up(self, phase: str) -> None:
        for _ in range(WARM_UP_STEPS):
            self.step(phase)

    def _timed_step(self, phase: str) -> float:
        start = time.perf_counter()
        self.step(phase)
        return time.perf_counter() - start

    def step(self, phase: str) -> None:
        """Runs one train step (forward, backward, update) or one inference.

        Args:
            phase: `train` or `infer`.
        """
        if phase == "train":
            self._train_step()
        else:
            self._inference()

    def _train_step(self) -> None:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            loss = sum(self.model(self.images, self.targets).values())
        loss.backward()
        self.optimizer.step()
        self.counts["loss"] = round(float(loss.detach()), 3)

    def _inference(self) -> None:
        self.model.eval()
        with torch.inference_mode(), self.autocast():
            detections = self.model(self.images)
        self.counts["detections"] = [len(found["boxes"]) for found in detections]

    def report(self) -> dict[str, Any]:
        """Returns versions, last loss, and numbers of RoIs and detections.

        The loss must be finite, or the times mean nothing.
        """
        versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
        return {"versions": versions, **self.counts}


def _targets(scene: Scene) -> list[dict[str, Tensor]]:
    """Converts a scene to torchvision's targets: `xyxy` boxes, labels from 1 (0 is the background)."""
    return [
        {
            "boxes": torch.from_numpy(boxes[:, [1, 0, 3, 2]].copy()),
            "labels": torch.from_numpy(classes.astype("int64") + 1),
        }
        for boxes, classes in zip(scene.boxes, scene.classes, strict=True)
    ]


def main() -> None:
    """Serves commands from standard input."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--precision", choices=("float32", "bfloat16"), required=True)
    flags.add_argument("--batch", type=int, required=True)
    flags.add_argument("--threads", type=int, required=True)
    flags.add_argument("--layout", choices=("auto", *LAYOUTS), default="auto")
    args = flags.parse_args()
    torch.set_num_threads(args.threads)
    # TensorFlow flushes denormals too. Otherwise vanishing activations would slow torchvision down.
    torch.set_flush_denormal(True)
    serve(lambda: Peer(args.precision, args.batch, args.layout))


if __name__ == "__main__":
    main()
