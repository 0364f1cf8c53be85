"""Makes the pictures of README and docs from a finished `make demo`.

    make demo && python -m scripts.docs_pictures demo

Run it again when the demo or a report changes. Only images whose detections are all correct, with no
object missed, come into README's picture; with too few of them the exit code is 1 and nothing is replaced.
The pictures of reports and of TensorBoard need Chromium (`make browser`); without it they are left as they
are. --model, --records and --logs replace the demo's own. The evaluation is left in the demo's folder.
"""

import argparse
import contextlib
import io
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from frcnn.drawing.boxes import annotate
from frcnn.evaluation.matching import TRUE_POSITIVE, inclusive_iou, match
from tests.support import planted_faults

PICTURES = Path(__file__).resolve().parents[1] / "docs/images"
COLUMNS, ROWS, GAP = 2, 2, 8
WIDTH = 1000  # of a picture, px
BROWSER_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
TENSORBOARD_SECONDS = 120
# The demo's spec only flips, so the preview has more: its variants can be told apart.
AUGMENTATION = (
    "spatial_augmentation.rotate_rad_max=6",
    "spatial_augmentation.translate_max_x=16",
    "spatial_augmentation.zoom_min=0.8",
    "spatial_augmentation.zoom_max=1.3",
    "color_augmentation.contrast_scale_max=0.4",
    "color_augmentation.contrast_center=0.5",
    "color_augmentation.hue_rotation_max=60",
    "color_augmentation.color_shift_stddev=0.1",
)


def main() -> int:
    """Makes the pictures.

    Returns:
        Exit code.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("demo", type=Path, help="output folder of the demo")
    flags.add_argument("--model", type=Path, help="model (default: the demo's retrained one)")
    flags.add_argument("--records", help="glob of the demo's record files (default: as in its spec)")
    flags.add_argument("--logs", type=Path, help="TensorBoard's files of a training on the demo's data")
    args = flags.parse_args()
    # Commands run next to the demo, so that they and their output name it as a reader's do.
    base, demo = args.demo.resolve().parent, Path(args.demo.resolve().name)
    spec, model = demo / "specs/experiment.txt", args.model or demo / "run/latest/retrain/model/model.keras"
    records = [f"--set=dataset_config.data_sources[0].tfrecords_path={args.records}"] if args.records else []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        found = hero(base / model, base / demo / "data")
        if len(found) < COLUMNS * ROWS:
            sys.stderr.write(f"only {len(found)} images without a mistake; train longer\n")
            return 1
        sheet(found[: COLUMNS * ROWS]).save(PICTURES / "demo.png", optimize=True)
        terminal(["evaluate", "-e", spec, "-m", model, "-r", demo / "evaluation", *records], base)
        more = [f"--set=augmentation_config.{each}" for each in AUGMENTATION]
        preview = ["augment", "preview", "-e", spec, "-o", work / "preview", "--num_images", 3]
        run([*preview, *more, *records], base)
        resized(next((work / "preview").glob("*.png"))).save(PICTURES / "augmentation.png", optimize=True)
        with browser() as driver:
            if driver is not None:
                save(photograph(driver, base / demo / "evaluation/report.html", 1100, 1260), "report.png")
                faults = data_report(base / spec, work)
                both = [photograph(driver, faults, each, 1200, scale=WIDTH / 1310) for each in (920, 390)]
                save(beside(*both), "data_report.png")
                if args.logs:
                    with tensorboard(args.logs) as address:
                        save(photograph(driver, address, 1280, 800, wait="card-view"), "tensorboard.png")
    return 0


def run(words: Sequence[object], base: Path) -> str:
    """Runs a task in a folder and returns its standard output."""
    command = [sys.executable, "-m", "frcnn", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=base).stdout


def data_report(spec: Path, work: Path) -> Path:
    """Reports on a drawn data set with faults, judged for a spec with too large anchors.

    Args:
        spec: Spec of the demo.
        work: Folder for temporary files.

    Returns:
        The page.
    """
    shapes = planted_faults.clean_set(work / "shapes")
    planted_faults.plant_leak(shapes)
    planted_faults.plant_missing_class(shapes)
    planted_faults.plant_tiny_objects(shapes)
    planted_faults.plant_bad_labels(shapes)
    text = re.sub(r"(height: )128", rf"\g<1>{planted_faults.HEIGHT}", spec.read_text())
    text = re.sub(r"(width: )176", rf"\g<1>{planted_faults.WIDTH}", text)
    text = re.sub(r"(scale: )(\d+)", lambda found: f"{found[1]}{4 * int(found[2])}", text)
    (work / "spec.txt").write_text(text)
    run(["data", "report", "shapes/train", "shapes/val", "-o", "report", "-e", "spec.txt"], work)
    return work / "report/report.html"


def hero(model: Path, data: Path) -> list[Image.Image]:
    """Draws held-out images whose detections are exactly the labeled objects.

    Args:
        model: Model of the demo.
        data: The demo's data set.

    Returns:
        Annotated images, those with the most objects first.
    """
    import frcnn

    detector = frcnn.load(model)
    held_out = sorted((data.parent / "samples").iterdir()) or sorted((data / "images").iterdir())
    drawn = []
    for path in held_out:
        found = detector.predict(path)
        labels = [line.split() for line in (data / "labels" / f"{path.stem}.txt").read_text().splitlines()]
        boxes = np.array([[float(each[at]) for at in (5, 4, 7, 6)] for each in labels]).reshape(-1, 4)
        predicted = found.xyxy[:, [1, 0, 3, 2]].reshape(-1, 4)
        same = np.array([[label[0] == name for label in labels] for name in found.label]).reshape(
            len(found), -1
        )
        iou = inclusive_iou(predicted, boxes) * same.reshape(len(found), len(boxes))
        outcomes, _ = match(found.score, iou, np.zeros(len(boxes), bool), np.array([0.5]))
        if len(boxes) == len(found) > 1 and (outcomes == TRUE_POSITIVE).all():
            captions = [f"{name} {score:.2f}" for name, score in zip(found.label, found.score, strict=True)]
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB").resize((image.width * 2, image.height * 2)))
            drawn.append((len(boxes), annotate(pixels, predicted * 2 + 0.5, found.class_id, captions)))
    return [image for _, image in sorted(drawn, key=lambda pair: -pair[0])]


def sheet(images: Sequence[Image.Image]) -> Image.Image:
    """Arranges images of one size in rows and columns."""
    width, height = images[0].size
    whole = Image.new("RGB", (COLUMNS * (width + GAP) - GAP, ROWS * (height + GAP) - GAP), "white")
    for at, image in enumerate(images):
        whole.paste(image, (at % COLUMNS * (width + GAP), at // COLUMNS * (height + GAP)))
    return resized(whole).quantize(256, dither=Image.Dither.FLOYDSTEINBERG)


def resized(picture: Path | Image.Image) -> Image.Image:
    """Reduces a picture to `WIDTH`."""
    image = Image.open(picture) if isinstance(picture, Path) else picture
    scale = min(1.0, WIDTH / image.width)
    return image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))


def terminal(words: Sequence[object], base: Path) -> None:
    """Runs a task in a folder and writes its output as a picture of a terminal."""
    from rich.console import Console
    from rich.text import Text

    shown = " ".join(str(word) for word in words if not str(word).startswith("--set="))
    console = Console(record=True, width=112, file=io.StringIO())
    console.print(Text(f"$ frcnn {shown}", style="bold"))
    console.print(Text(run(words, base)))
    text = console.export_svg(title="frcnn evaluate")
    # The picture must not fetch fonts.
    (PICTURES / "terminal.svg").write_text(re.sub(r"\s*@font-face \{.*?\}", "", text, flags=re.DOTALL))


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Starts Chromium; yields None where it is missing."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        sys.stderr.write("no chromium and chromedriver: the pictures of pages stay as they are\n")
        yield None
        return
    from selenium import webdriver

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*BROWSER_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield chrome
        finally:
            chrome.quit()


def photograph(
    driver: Any, page: Path | str, width: int, height: int, wait: str = "body", scale: float | None = None
) -> Image.Image:
    """Takes a picture of a page.

    Args:
        driver: Browser.
        page: File or address.
        width: Width of the window, px.
        height: Height of the window, px.
        wait: CSS selector of an element to wait for.
        scale: Size of a pixel of the page in the picture; `None` for a picture of `WIDTH`. A picture that is
            drawn in its size is sharper and a smaller file than a reduced one.

    Returns:
        The picture.
    """
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    screen = {"width": width, "height": height, "deviceScaleFactor": scale or WIDTH / width, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(page.as_uri() if isinstance(page, Path) else page)
    WebDriverWait(driver, TENSORBOARD_SECONDS).until(lambda page: page.find_elements(By.CSS_SELECTOR, wait))
    if wait != "body":
        for panel in driver.find_elements(By.CSS_SELECTOR, ".settings-button.checked"):
            panel.click()  # TensorBoard's settings would take a third of the width
        time.sleep(25)  # it draws its curves after their cards
    return Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Puts two pictures of one height side by side."""
    whole = Image.new("RGB", (left.width + right.width, left.height), "white")
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width, 0))
    return whole


def save(picture: Image.Image, name: str) -> None:
    """Saves a picture of a page, without a palette, which would change the colors of the classes."""
    picture.save(PICTURES / name, optimize=True)


@contextlib.contextmanager
def tensorboard(logs: Path) -> Iterator[str]:
    """Serves a folder of logs; yields the address of its page with the epochs' scalars."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(TENSORBOARD_SECONDS):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address, timeout=5).close()
                break
            time.sleep(1)
        yield f"{address}?darkMode=false&tagFilter=epoch%2F#timeseries"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
