import dataclasses
from pathlib import Path

import pytest

from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.onnx.from_keras import Part, convert_features, convert_head
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.exporting import export_settings
from frcnn.spec import Experiment
from tests.support.export_models import calibrated_model, export_spec


@dataclasses.dataclass(frozen=True)
class Exported:
    """A detector, its spec, its converted parts, and its files `model.keras` and `model.onnx`."""

    spec: Experiment
    model: FasterRCNN
    features: Part
    head: Part
    folder: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    spec = export_spec(folder)
    model = calibrated_model(spec)
    made = Exported(spec, model, convert_features(model, 18), convert_head(model, 18), folder)
    save_model(model, folder / "model.keras", TrainingRecord("resnet:10", spec.class_names))
    with pytest.MonkeyPatch.context() as patch:
        _reuse_parts(patch, made)
        write_onnx(export_onnx(model, export_settings(spec), ExportOptions()), folder / "model.onnx")
    return made


@pytest.fixture
def converted_once(exported, monkeypatch) -> None:
    """Exports reuse the converted parts: the conversion takes seconds."""
    _reuse_parts(monkeypatch, exported)


def _reuse_parts(patch: pytest.MonkeyPatch, exported: Exported) -> None:
    patch.setattr(
        "frcnn.exporting.exporter.convert_features", lambda model, opset, marks=(): exported.features
    )
    patch.setattr("frcnn.exporting.exporter.convert_head", lambda model, opset, marks=(): exported.head)
