"""A small trained model with its spec, and the same model exported."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.exporting import export_settings
from frcnn.spec import Experiment
from frcnn.spec.show import effective_text
from tests.support.export_models import calibrated_model, export_spec


@dataclasses.dataclass(frozen=True)
class Models:
    """One detector as `model.keras` and `model.onnx` in `folder`, and images that it finds something in."""

    spec: Experiment
    folder: Path
    images: tuple[Path, ...]

    @property
    def trained(self) -> Path:
        return self.folder / "model.keras"

    @property
    def exported(self) -> Path:
        return self.folder / "model.onnx"


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    spec = export_spec(folder)
    model = calibrated_model(spec)
    record = TrainingRecord("resnet:10", spec.class_names, spec_text=effective_text(spec))
    save_model(model, folder / "model.keras", record)
    write_onnx(export_onnx(model, export_settings(spec), ExportOptions()), folder / "model.onnx")
    (folder / "images").mkdir()
    images = tuple(_picture(folder / "images" / f"{seed}.png", seed) for seed in range(5))
    return Models(spec, folder, images)


def _picture(path: Path, seed: int) -> Path:
    """Colored blobs, of another size than the network's input."""
    random = np.random.default_rng(seed)
    height, width = 144 + 16 * seed, 200
    coarse = random.integers(0, 256, (height // 16, width // 20, 3), np.uint8)
    Image.fromarray(coarse.repeat(16, axis=0).repeat(20, axis=1)).save(path)
    return path
