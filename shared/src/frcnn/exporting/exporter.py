"""From a trained detector to an ONNX file."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx
from onnx import version_converter

import frcnn
from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.errors import ModelError, UsageError
from frcnn.exporting.int8.qdq import Profile, Ranges, insert_pairs
from frcnn.exporting.int8.trained_ranges import TrainedRanges
from frcnn.exporting.onnx import plugin_graph, standard_graph
from frcnn.exporting.onnx.fast_head import with_fast_head
from frcnn.exporting.onnx.float16 import to_half
from frcnn.exporting.onnx.from_keras import LARGEST_OPSET, Part, convert_features, convert_head
from frcnn.exporting.onnx.shapes import without_large_constants
from frcnn.exporting.record import PROPERTY, ExportRecord
from frcnn.model.build import detection_settings
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.qat.insert import from_qat, is_qat
from frcnn.model.settings import DetectionSettings
from frcnn.sealing.sealed_file import created

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)

# RoIAlign is right from 16 on, the converter knows 18, ONNX Runtime has no RoIAlign of 22.
OPSETS = {"standard": range(18, 22), "plugin": range(13, LARGEST_OPSET + 1)}
DYNAMIC_BATCH = "batch"
_LARGEST_TENSORRT_TOPK = 3840
# Measures ranges by running a standard graph in float32.
Calibration: TypeAlias = Callable[[Any], Ranges]


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is wanted of the file.

    Attributes:
        graph: Standard operators only, or TensorRT plugins.
        precision: Of weights and arithmetic in the two networks.
        opset: Version of ONNX's operators; None for the graph's own choice.
        batch_size: Fixed number of images, or None if any.
        plugin_domain: Domain of the plugins' operators; empty as in the reference's files.
        int8_profile: What INT8 is meant for; None for the graph's own choice.
        cpu_fast_head: The head's 3x3 convolutions in the form that is fastest on CPUs.
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
        """The INT8 profile that counts."""
        return self.int8_profile or ("cpu" if self.graph == "standard" else "tensorrt")

    def __post_init__(self) -> None:
        """Raises UsageError for what no graph can be."""
        if self.opset is not None and self.opset not in OPSETS[self.graph]:
            allowed = OPSETS[self.graph]
            raise UsageError(
                f"target_opset {self.opset}: the {self.graph} graph comes in {allowed[0]} to {allowed[-1]}",
                argument="target_opset",
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(
                f"static_batch_size {self.batch_size}: expected 1 or more", argument="static_batch_size"
            )
        if self.graph == "plugin" and self.int8_profile == "cpu":
            raise UsageError(
                "int8_profile cpu: only TensorRT runs the plugin graph; use tensorrt", argument="int8_profile"
            )
        if self.cpu_fast_head and (self.graph, self.precision) != ("standard", "fp32"):
            raise UsageError(
                f"cpu_fast_head: goes with the standard graph and the data type fp32 only, "
                f"not with {self.graph} and {self.precision}",
                argument="cpu_fast_head",
            )


@dataclasses.dataclass(frozen=True)
class Exported:
    """An exported detector: the checked ONNX ModelProto, and the ranges of its tensors, if they are known."""

    proto: Any
    ranges: Ranges


def split_trained(model: FasterRCNN) -> tuple[FasterRCNN, TrainedRanges | None]:
    """The model without fake quantisation, and the ranges that training has learnt, if it has."""
    if not is_qat(model):
        return model, None
    found = from_qat(model)
    return found.model, TrainedRanges(found.tensor_scales, found.weight_limits)


def export_onnx(
    model: FasterRCNN, spec: "Experiment", options: ExportOptions, calibration: Calibration | None = None
) -> Any:
    """The detector as a checked ONNX ModelProto; arguments and errors as `export_with_ranges`."""
    return export_with_ranges(model, spec, options, calibration).proto


def export_with_ranges(
    model: FasterRCNN,
    spec: "Experiment",
    options: ExportOptions,
    calibration: Calibration | None = None,
    trained: TrainedRanges | None = None,
) -> Exported:
    """The detector as ONNX, and the ranges of its tensors.

    Args:
        model: The detector, without fake quantisation.
        spec: Its `inference_config` says how proposals and NMS work.
        options: What is wanted.
        calibration: Measures ranges; INT8 needs it unless there are `trained` ones. Called for other
            precisions too, if given.
        trained: Ranges learnt in quantisation-aware training.

    Raises:
        ModelError: The model holds something that cannot be exported.
        UsageError: The plugin graph of a model of dynamic shape.
    """
    if options.graph == "plugin" and model.geometry.dynamic:
        raise UsageError(
            "graph plugin: the TensorRT plugins are made for one input size, and the model takes any "
            "(size_min); use the standard graph",
            argument="graph",
        )
    settings = detection_settings(spec.inference_config)
    batch = DYNAMIC_BATCH if options.batch_size is None else options.batch_size
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
        ranges = calibration(_calibration_graph(model, settings, features, head, converted))
    if options.precision == "fp16":
        features, head = to_half(features), to_half(head)
    if options.cpu_fast_head:
        head = _fast(head, converted)
    if options.graph == "standard":
        _warn_of_limits(settings.proposals.pre_nms)
        proto = standard_graph.standard_graph(model, settings, features, head, batch)
        if opset != standard_graph.OPSET:
            proto = version_converter.convert_version(proto, opset)
    else:
        bits = spec.inference_config.nms_score_bits
        proto = plugin_graph.plugin_graph(
            model, settings, features, head, batch, opset=opset, score_bits=bits
        )
    if options.precision == "int8":
        proto = insert_pairs(proto, ranges, options.profile, limits)
    preprocessing = dataclasses.asdict(ImageSettings.from_spec(spec))
    threshold = spec.inference_config.bbox_visualize_threshold
    record = ExportRecord(
        options.graph, options.precision, model.geometry, settings, preprocessing, threshold
    )
    return Exported(_finish(proto, record, options), ranges)


def _calibration_graph(
    model: FasterRCNN, settings: DetectionSettings, features: Part, head: Part, opset: int
) -> Any:
    """The standard graph that ranges are measured in; tensors of the networks have the same names in all."""
    if opset != standard_graph.OPSET:
        features, head = (
            convert(model, standard_graph.OPSET) for convert in (convert_features, convert_head)
        )
    return standard_graph.standard_graph(model, settings, features, head, DYNAMIC_BATCH)


def _fast(head: Part, opset: int) -> Part:
    opsets = [onnx.helper.make_opsetid("", opset)]
    faster = with_fast_head(onnx.helper.make_model(head.graph, opset_imports=opsets), transformed=True)
    if faster is None:
        log.warning("cpu_fast_head: this model's head has no 3x3 convolution that gains; left as it is")
        return head
    return Part(faster.graph, head.inputs, head.outputs)


def write_onnx(proto: Any, target: Path, key: str = "") -> None:
    """Writes the model to `target`, whole or not at all; sealed if there is a key."""
    with created(target, key, "onnx") as plain:
        plain.write_bytes(proto.SerializeToString())


def _finish(proto: Any, record: ExportRecord, options: ExportOptions) -> Any:
    proto.producer_name, proto.producer_version = "frcnn", frcnn.__version__
    onnx.helper.set_model_props(proto, {PROPERTY: record.to_json()})
    try:
        onnx.checker.check_model(without_large_constants(proto), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the model holds something that ONNX cannot express: {reason}") from error
    if options.graph == "plugin" and options.plugin_domain != plugin_graph.DOMAIN:
        _rename_domain(proto, options.plugin_domain)
    return proto


def _rename_domain(proto: Any, domain: str) -> None:
    """Moves the plugins to another domain, after the check: no checker knows them in ONNX's own."""
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
            "inference_config.rpn_pre_nms_top_N %d: TensorRT's TopK ends at %d; "
            "for TensorRT lower it, or use the plugin graph",
            pre_nms,
            _LARGEST_TENSORRT_TOPK,
        )
