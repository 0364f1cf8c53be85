"""Exports a trained detector to an ONNX file."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
from onnx import version_converter

import frcnn
from frcnn.errors import ModelError, UsageError
from frcnn.exporting.int8.qdq import Profile, Ranges, insert_pairs
from frcnn.exporting.int8.trained_ranges import TrainedRanges
from frcnn.exporting.onnx import plugin_graph, standard_graph
from frcnn.exporting.onnx.fast_head import with_fast_head
from frcnn.exporting.onnx.float16 import to_half
from frcnn.exporting.onnx.from_keras import LARGEST_OPSET, Part, convert_features, convert_head
from frcnn.exporting.onnx.shapes import without_large_constants
from frcnn.exporting.record import PROPERTY, ExportRecord
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.qat.insert import from_qat, is_qat
from frcnn.model.settings import DetectionSettings
from frcnn.sealing.sealed_file import created
from frcnn.settings.exporting import ExportSettings

log = logging.getLogger(__name__)

# RoIAlign is correct from opset 16, the converter supports up to 18, ONNX Runtime lacks RoIAlign of opset 22.
OPSETS = {"standard": range(18, 22), "plugin": range(13, LARGEST_OPSET + 1)}
DYNAMIC_BATCH = "batch"
_LARGEST_TENSORRT_TOPK = 3840
# Measures ranges by running a standard graph in float32.
Calibration: TypeAlias = Callable[[Any], Ranges]


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Options of an exported file.

    Attributes:
        graph: `standard` for standard operators only, `plugin` for TensorRT plugins.
        precision: Precision of weights and arithmetic in the two networks.
        opset: Version of the ONNX operators; None for the default of the graph.
        batch_size: Fixed batch size; None for any.
        plugin_domain: Domain of the plugin operators; empty as in TAO's files.
        int8_profile: Target of INT8: `cpu`, `cpu_vnni` or `tensorrt`; None for the default of the graph.
        cpu_fast_head: Whether to store the head's 3x3 convolutions in the form that is fastest on CPUs.
    """

    graph: Literal["standard", "plugin"] = "standard"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    opset: int | None = None
    batch_size: int | None = None
    plugin_domain: str = plugin_graph.DOMAIN
    int8_profile: Profile | None = None
    cpu_fast_head: bool = False

    @property
    def profile(self) -> Profile:
        """INT8 profile to use."""
        return self.int8_profile or ("cpu" if self.graph == "standard" else "tensorrt")

    def __post_init__(self) -> None:
        """Raises UsageError for options that contradict each other."""
        if self.opset is not None and self.opset not in OPSETS[self.graph]:
            allowed = OPSETS[self.graph]
            raise UsageError(
                f"target_opset {self.opset}: the {self.graph} graph supports {allowed[0]} to {allowed[-1]}",
                argument="target_opset",
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(
                f"static_batch_size {self.batch_size}: expected 1 or more", argument="static_batch_size"
            )
        if self.graph == "plugin" and self.profile != "tensorrt":
            raise UsageError(
                f"int8_profile {self.profile}: only TensorRT runs the plugin graph; use tensorrt",
                argument="int8_profile",
            )
        if self.cpu_fast_head and (self.graph, self.precision) != ("standard", "fp32"):
            raise UsageError(
                f"cpu_fast_head: requires the standard graph and the data type fp32; "
                f"found {self.graph} and {self.precision}",
                argument="cpu_fast_head",
            )


@dataclasses.dataclass(frozen=True)
class Exported:
    """Exported detector.

    Attributes:
        proto: Validated ONNX ModelProto.
        ranges: Ranges of its tensors; empty if unknown.
    """

    proto: Any
    ranges: Ranges


def split_trained(model: FasterRCNN) -> tuple[FasterRCNN, TrainedRanges | None]:
    """Separates a detector from the ranges that quantization-aware training learned.

    Args:
        model: Detector, trained with or without quantization.

    Returns:
        Tuple of the detector without fake quantization, and the learned ranges, or None.
    """
    if not is_qat(model):
        return model, None
    found = from_qat(model)
    return found.model, TrainedRanges(found.tensor_scales, found.weight_limits)


def export_onnx(
    model: FasterRCNN,
    settings: ExportSettings,
    options: ExportOptions,
    calibration: Calibration | None = None,
) -> Any:
    """Exports a detector to a validated ONNX ModelProto, as `export_with_ranges`."""
    return export_with_ranges(model, settings, options, calibration).proto


def export_with_ranges(
    model: FasterRCNN,
    settings: ExportSettings,
    options: ExportOptions,
    calibration: Calibration | None = None,
    trained: TrainedRanges | None = None,
) -> Exported:
    """Exports a detector to ONNX, with the ranges of its tensors.

    Args:
        model: Detector without fake quantization.
        settings: Proposals, NMS and input format.
        options: Options of the file.
        calibration: Function that measures ranges; required for INT8 without `trained`. If given, it is
            called for other precisions too, unless there are `trained` ranges.
        trained: Ranges learned in quantization-aware training; None for none.

    Returns:
        The ONNX model and the ranges.

    Raises:
        ModelError: The model contains something that cannot be exported.
        UsageError: The plugin graph is requested for a model of dynamic shape.
    """
    if options.graph == "plugin" and model.geometry.dynamic:
        raise UsageError(
            "graph plugin: the TensorRT plugins support one input size, and the model has a dynamic shape "
            "(size_min); use the standard graph",
            argument="graph",
        )
    detection = settings.detection
    own = standard_graph.OPSET if options.graph == "standard" else plugin_graph.OPSET
    opset = options.opset or own
    converted = min(opset, LARGEST_OPSET)
    marks = trained.layers if trained is not None else ()
    features, head = convert_features(model, converted, marks), convert_head(model, converted, marks)
    ranges: Ranges = {}
    limits: Mapping[str, np.ndarray] = {}
    if trained is not None:
        ranges, limits = trained.of_tensors(features, head), trained.of_weights(model, features, head)
    elif calibration is not None:
        ranges = calibration(_calibration_graph(model, detection, features, head, converted))
    if options.precision == "fp16":
        features, head = to_half(features), to_half(head)
    if options.cpu_fast_head:
        head = _fast(head, converted)
    proto = _joined(model, settings, options, features, head, opset)
    del features, head  # their weights are copies
    if options.precision == "int8":
        proto = insert_pairs(proto, ranges, options.profile, limits)
    record = ExportRecord(
        options.graph,
        options.precision,
        model.geometry,
        detection,
        dataclasses.asdict(settings.image),
        settings.visualize_threshold,
    )
    return Exported(_finish(proto, record, options), ranges)


def _joined(
    model: FasterRCNN,
    settings: ExportSettings,
    options: ExportOptions,
    features: Part,
    head: Part,
    opset: int,
) -> Any:
    """Joins the converted networks to the graph of the options."""
    batch, detection = options.batch_size or DYNAMIC_BATCH, settings.detection
    if options.graph == "plugin":
        return plugin_graph.plugin_graph(
            model, detection, features, head, batch, opset=opset, score_bits=settings.score_bits
        )
    _warn_of_limits(detection.proposals.pre_nms)
    proto = standard_graph.standard_graph(model, detection, features, head, batch)
    return proto if opset == standard_graph.OPSET else version_converter.convert_version(proto, opset)


def _calibration_graph(
    model: FasterRCNN, settings: DetectionSettings, features: Part, head: Part, opset: int
) -> Any:
    """Builds the standard graph for calibration; its tensor names equal those of other graphs."""
    if opset != standard_graph.OPSET:
        features, head = (
            convert(model, standard_graph.OPSET) for convert in (convert_features, convert_head)
        )
    return standard_graph.standard_graph(model, settings, features, head, DYNAMIC_BATCH)


def _fast(head: Part, opset: int) -> Part:
    opsets = [onnx.helper.make_opsetid("", opset)]
    faster = with_fast_head(onnx.helper.make_model(head.graph, opset_imports=opsets), transformed=True)
    if faster is None:
        log.warning("Ignoring cpu_fast_head: the head has no 3x3 convolution that would become faster")
        return head
    return Part(faster.graph, head.inputs, head.outputs)


def write_onnx(proto: Any, target: Path, key: str = "") -> None:
    """Writes an ONNX model atomically.

    Args:
        proto: ONNX ModelProto.
        target: Output file.
        key: Key that seals the file; empty for a plain file.
    """
    with created(target, key, "onnx") as plain:
        plain.write_bytes(proto.SerializeToString())


def _finish(proto: Any, record: ExportRecord, options: ExportOptions) -> Any:
    proto.producer_name, proto.producer_version = "frcnn", frcnn.__version__
    onnx.helper.set_model_props(proto, {PROPERTY: record.to_json()})
    try:
        onnx.checker.check_model(without_large_constants(proto), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the model contains something that ONNX cannot express: {reason}") from error
    if options.graph == "plugin" and options.plugin_domain != plugin_graph.DOMAIN:
        _rename_domain(proto, options.plugin_domain)
    return proto


def _rename_domain(proto: Any, domain: str) -> None:
    """Moves the plugins to another domain, after validation, which would reject ONNX's domain."""
    for node in proto.graph.node:
        if node.domain == plugin_graph.DOMAIN:
            node.domain = domain
    for entry in list(proto.opset_import):
        if entry.domain == plugin_graph.DOMAIN:
            proto.opset_import.remove(entry)
    if domain:
        proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))


def _warn_of_limits(pre_nms: int) -> None:
    if pre_nms > _LARGEST_TENSORRT_TOPK:
        log.info(
            "inference_config.rpn_pre_nms_top_N %d: TensorRT's TopK supports at most %d. "
            "For TensorRT, lower it or use the plugin graph.",
            pre_nms,
            _LARGEST_TENSORRT_TOPK,
        )
