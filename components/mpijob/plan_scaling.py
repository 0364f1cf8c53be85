"""`python -m components.mpijob.plan_scaling`: arithmetic of a large training, from one GPU's numbers.

A bound to plan with, not a promise: gradients are taken to be exchanged after the step's computing, none of
it hidden, so that real runs are at least this good while the network gives what it was said to.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence

_GRADIENT_BYTES = 4  # float32
_LATENCY_SECONDS = 30e-6  # of a message between two nodes, TCP


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training to be.

    Attributes:
        images: In the training set.
        image_bytes: Mean size of one in the records.
        nodes, gpus: Worker pods, and GPUs of each.
        batch: Images a GPU and step.
        speed: Images a second that one GPU trains alone.
        parameters: Weights that are trained.
        network: Bytes a second that one node sends to others.
        compressed: Gradients travel in 16 bits.
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
        """How many GPUs in all."""
        return self.nodes * self.gpus

    @property
    def steps(self) -> int:
        """Steps an epoch; the last may be padded."""
        return math.ceil(self.images / (self.processes * self.batch))

    @property
    def compute_seconds(self) -> float:
        """Of a step, on each GPU."""
        return self.batch / self.speed

    @property
    def exchange_seconds(self) -> float:
        """Of a step: a ring over the nodes, each of which sends 2 (n - 1) / n of the gradients.

        Source: Patarasu and Yuan 2009, Bandwidth optimal all-reduce algorithms. Within a node it is
        taken for free.
        """
        if self.nodes == 1:
            return 0.0
        size = self.parameters * _GRADIENT_BYTES / (2 if self.compressed else 1)
        hops = 2 * (self.nodes - 1)
        return hops / self.nodes * size / self.network + hops * _LATENCY_SECONDS

    @property
    def efficiency(self) -> float:
        """Share of the time in which GPUs compute, 0 to 1."""
        return self.compute_seconds / (self.compute_seconds + self.exchange_seconds)

    @property
    def images_a_second(self) -> float:
        """Of all GPUs."""
        return self.processes * self.speed * self.efficiency

    def lines(self) -> list[str]:
        """The plan as text, name and value."""
        rate = self.images_a_second
        rows = [
            ("GPUs, global batch", f"{self.processes}, {self.processes * self.batch}"),
            ("steps an epoch", f"{self.steps}"),
            ("step: compute + exchange", f"{self.compute_seconds:.3f} s + {self.exchange_seconds:.3f} s"),
            ("efficiency", f"{self.efficiency:.0%}"),
            ("images a second", f"{rate:.0f}"),
            ("an epoch takes", f"{self.images / rate / 60:.1f} min"),
            ("records in all", f"{self.images * self.image_bytes / 1e9:.0f} GB"),
            ("a node's cache, one share", f"{self.images * self.image_bytes / self.nodes / 1e9:.1f} GB"),
            ("read from S3, all nodes", f"{rate * self.image_bytes / 1e6:.0f} MB/s"),
            ("read from S3, one node", f"{rate * self.image_bytes / self.nodes / 1e6:.0f} MB/s"),
            ("checkpoint, SGD with momentum", f"{2 * self.parameters * 4 / 1e6:.0f} MB"),
        ]
        return [f"{name:<32}{value}" for name, value in rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the plan; returns 0."""
    flags = argparse.ArgumentParser(prog="python -m components.mpijob.plan_scaling", description=__doc__)
    add = flags.add_argument
    add("--images", type=int, default=1_000_000)
    add("--image_kb", type=float, default=500, help="mean size of an image in the records (500)")
    add("--nodes", type=int, default=8)
    add("--gpus", type=int, default=8, help="of a node (8)")
    add("--batch", type=int, default=4, help="images a GPU and step (4)")
    add("--speed", type=float, required=True, help="images a second that one GPU trains; measure it")
    add("--parameters", type=float, default=42.9e6, help="trained weights (42.9e6: resnet:50)")
    add("--gbit", type=float, default=100, help="network of a node, Gbit/s (100)")
    add("--fp16", action="store_true", help="gradients in 16 bits")
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
