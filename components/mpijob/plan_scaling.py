"""`python -m components.mpijob.plan_scaling`: estimates a large training from the speed of one GPU.

The estimate is a lower bound on speed: it assumes that the gradient exchange starts after the step's
computation and does not overlap with it. It also assumes that the network reaches the given rate.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence

_GRADIENT_BYTES = 4  # float32
_LATENCY_SECONDS = 30e-6  # latency of a TCP message between two nodes


@dataclasses.dataclass(frozen=True)
class Plan:
    """Planned training.

    Attributes:
        images: Number of training images.
        image_bytes: Mean size of an image in the records, bytes.
        nodes: Number of worker pods.
        gpus: GPUs per worker pod.
        batch: Images per GPU and step.
        speed: Images per second that a single GPU trains.
        parameters: Number of trained weights.
        network: Bytes per second that one node sends to others.
        compressed: Whether gradients are exchanged in 16 bits.
    """

    images: int
    image_bytes: float
    nodes: int
    gpus: int
    batch: int
    speed: float
    parameters: float
    network: float
    compressed: bool = False

    @property
    def processes(self) -> int:
        """Total number of GPUs."""
        return self.nodes * self.gpus

    @property
    def steps(self) -> int:
        """Steps per epoch; the last one may be padded."""
        return math.ceil(self.images / (self.processes * self.batch))

    @property
    def compute_seconds(self) -> float:
        """Computing time of a step on each GPU, s."""
        return self.batch / self.speed

    @property
    def exchange_seconds(self) -> float:
        """Gradient exchange time of a step, s.

        The nodes form a ring, in which each of them sends 2 (n - 1) / n of the gradients.

        Source: Patarasu and Yuan 2009, Bandwidth optimal all-reduce algorithms. The exchange within a node
        is assumed to take no time.
        """
        if self.nodes == 1:
            return 0.0
        size = self.parameters * _GRADIENT_BYTES / (2 if self.compressed else 1)
        hops = 2 * (self.nodes - 1)
        return hops / self.nodes * size / self.network + hops * _LATENCY_SECONDS

    @property
    def efficiency(self) -> float:
        """Fraction of the time in which GPUs compute, 0 to 1."""
        return self.compute_seconds / (self.compute_seconds + self.exchange_seconds)

    @property
    def images_a_second(self) -> float:
        """Images per second of all GPUs together."""
        return self.processes * self.speed * self.efficiency

    def lines(self) -> list[str]:
        """Formats the plan.

        Returns:
            Lines with name and value.
        """
        rate = self.images_a_second
        rows = [
            ("GPUs, global batch", f"{self.processes}, {self.processes * self.batch}"),
            ("steps per epoch", f"{self.steps}"),
            ("step: compute + exchange", f"{self.compute_seconds:.3f} s + {self.exchange_seconds:.3f} s"),
            ("efficiency", f"{self.efficiency:.0%}"),
            ("images per second", f"{rate:.0f}"),
            ("epoch duration", f"{self.images / rate / 60:.1f} min"),
            ("total size of records", f"{self.images * self.image_bytes / 1e9:.0f} GB"),
            ("cache per node, its share", f"{self.images * self.image_bytes / self.nodes / 1e9:.1f} GB"),
            ("S3 reads, all nodes", f"{rate * self.image_bytes / 1e6:.0f} MB/s"),
            ("S3 reads, one node", f"{rate * self.image_bytes / self.nodes / 1e6:.0f} MB/s"),
            ("checkpoint, SGD with momentum", f"{2 * self.parameters * 4 / 1e6:.0f} MB"),
        ]
        return [f"{name:<32}{value}" for name, value in rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the plan.

    Args:
        argv: Command line arguments. `None` uses those of the process.

    Returns:
        Exit code 0.
    """
    flags = argparse.ArgumentParser(prog="python -m components.mpijob.plan_scaling", description=__doc__)
    add = flags.add_argument
    add("--images", type=int, default=1_000_000, help="training images (default: 1000000)")
    add("--image_kb", type=float, default=500, help="mean size of an image in the records, kB (500)")
    add("--nodes", type=int, default=8, help="worker pods (default: 8)")
    add("--gpus", type=int, default=8, help="GPUs per node (default: 8)")
    add("--batch", type=int, default=4, help="images per GPU and step (default: 4)")
    add("--speed", type=float, required=True, help="measured training speed of one GPU, images per second")
    add("--parameters", type=float, default=42.9e6, help="trained weights (default: 42.9e6, for resnet:50)")
    add("--gbit", type=float, default=100, help="network bandwidth of a node, Gbit/s (default: 100)")
    add("--fp16", action="store_true", help="exchange gradients in 16 bits")
    args = flags.parse_args(argv)
    plan = Plan(
        images=args.images,
        image_bytes=args.image_kb * 1e3,
        nodes=args.nodes,
        gpus=args.gpus,
        batch=args.batch,
        speed=args.speed,
        parameters=args.parameters,
        network=args.gbit * 1e9 / 8,
        compressed=args.fp16,
    )
    sys.stdout.write("\n".join(plan.lines()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
