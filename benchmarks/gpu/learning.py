"""Section "training": the product's commands on the synthetic set, on the GPU, up to mAP."""

import shutil
import time
from pathlib import Path

import frcnn
from benchmarks.gpu.section import Task, run
from frcnn.demo.dataset import write_demo_data
from frcnn.spec import Experiment

EXAMPLES = Path(__file__).parents[2] / "examples" / "specs"
MODEL = "trained.keras"
# After 8 epochs on this set the CPU reaches more than this.
MIN_MAP = 0.5


def main(task: Task) -> None:
    """Draws, converts, trains and evaluates; leaves the model for later sections.

    Args:
        task: Arguments of the section.
    """
    images, epochs = (20, 1) if task.rehearse else (240, 8)
    write_data(task.folder, images)
    spec = experiment(task.folder, epochs)
    start = time.monotonic()
    result = frcnn.train(spec, task.folder / "results", use_amp=False)
    seconds = time.monotonic() - start
    seen = epochs * round(images * 0.8)
    task.notes.measured(
        "training on the synthetic set, with start and validation",
        f"{seconds:.0f} s, {epochs} epochs, {seen / seconds:.1f} img/s",
        seconds=seconds,
    )
    shutil.copyfile(result.model, task.folder / MODEL)
    reached = result.mean_ap or 0.0
    least = 0.0 if task.rehearse else MIN_MAP
    task.notes.checked("mAP of that training", f"{reached:.3f}", reached >= least, f"at least {least}")


def write_data(folder: Path, images: int) -> None:
    """Draws the synthetic set and converts it, and writes the specs that name these files.

    Args:
        folder: Output folder.
        images: Number of images.
    """
    write_demo_data(folder / "demo/data", images=images, seed=42, height=240, width=320)
    for name in ("synthetic_convert.txt", "synthetic_resnet10.txt"):
        text = (EXAMPLES / name).read_text(encoding="utf-8").replace('"demo/', f'"{folder}/demo/')
        (folder / name).write_text(text, encoding="utf-8")
    frcnn.convert(str(folder / "synthetic_convert.txt"), folder / "demo/records/set")


def experiment(folder: Path, epochs: int = 1) -> Experiment:
    """Loads the experiment spec of `write_data`.

    Args:
        folder: Folder of `write_data`.
        epochs: Number of epochs.

    Returns:
        The spec.
    """
    path = folder / "synthetic_resnet10.txt"
    text = path.read_text(encoding="utf-8").replace("num_epochs: 14", f"num_epochs: {epochs}")
    chosen = folder / "synthetic_chosen.txt"
    chosen.write_text(text, encoding="utf-8")
    return frcnn.spec.load_experiment(chosen)


if __name__ == "__main__":
    run(main)
