"""Worker process: torchvision's FasterRCNN on the same GPU, in float32 or under autocast with loss scaling.

`speed.py` starts it with the interpreter that has torchvision.
"""

import argparse
import functools
from typing import Any

import torch

from benchmarks.peer_torchvision import Peer
from benchmarks.workers import serve


class OnGpu(Peer):
    """torchvision's side."""

    def __init__(self, precision: str, batch: int) -> None:
        """Builds model and data on the GPU.

        Args:
            precision: `float32` or `mixed` (float16).
            batch: Batch size.
        """
        super().__init__("float32", batch, "auto")
        mixed = precision == "mixed"
        self.model.cuda()
        self.images = [image.cuda() for image in self.images]
        self.targets = [{name: value.cuda() for name, value in each.items()} for each in self.targets]
        self.autocast = functools.partial(torch.autocast, "cuda", torch.float16, enabled=mixed)
        self.scaler = torch.amp.GradScaler("cuda", enabled=mixed)

    def prepare(self, phase: str) -> dict[str, Any]:
        """Chooses the memory layout and warms up, then starts a new memory peak.

        Args:
            phase: `train` or `infer`.

        Returns:
            Remarks for the report.
        """
        notes = super().prepare(phase)
        torch.cuda.reset_peak_memory_stats()
        return notes

    def step(self, phase: str) -> None:
        """Runs one train step or one inference to completion.

        Args:
            phase: `train` or `infer`.
        """
        super().step(phase)
        torch.cuda.synchronize()

    def _train_step(self) -> None:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            loss = sum(self.model(self.images, self.targets).values())
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.counts["loss"] = round(float(loss.detach()), 3)

    def report(self) -> dict[str, Any]:
        """Returns the facts of the base class and the peak of GPU memory, MiB."""
        return {**super().report(), "gpu_mib": torch.cuda.max_memory_allocated() / 2**20}


def main() -> None:
    """Serves commands from standard input."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--precision", choices=("float32", "mixed"), required=True)
    flags.add_argument("--batch", type=int, required=True)
    args = flags.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU")
    torch.backends.cudnn.benchmark = True
    # As TensorFlow does by itself.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    serve(lambda: OnGpu(args.precision, args.batch))


if __name__ == "__main__":
    main()
