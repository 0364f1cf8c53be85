"""Time limits of problems: how long a job may be unable to run before it is given up."""

import dataclasses

from components.mpijob.diagnosis import Kind


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Seconds that each kind of problem may last before the job is abandoned.

    Each problem is logged once, within `interval` seconds after it occurs.

    Attributes:
        image: Time for an image that cannot be pulled or a missing secret; the kubelet retries.
        scheduling: Time for a pod that fits on no node: other jobs may end, or an autoscaler may add nodes.
            If the autoscaler reports that it adds none (Event NotTriggerScaleUp), the wait ends at once.
        quota: Time for an exhausted namespace quota: other jobs may end.
        operator: Time for mpi-operator to process the job.
        start: Time from creation to Running, whatever the reason. Time in which the job is suspended
            (queued) does not count.
        unreachable: Time for an API that does not respond.
        interval: Time between checks of pods and Events until the job runs; then 6 times as long. Checks use
            the watches' data and send no request.
        clean_up: Time for the operator to stop the pods of a failed job.
    """

    image: float = 45
    scheduling: float = 600
    quota: float = 600
    operator: float = 60
    start: float = 1800
    unreachable: float = 300
    interval: float = 5
    clean_up: float = 20

    def of(self, kind: Kind) -> float:
        """Returns the time that a problem may last.

        Args:
            kind: Kind of problem.

        Returns:
            Seconds; 0 if it cannot resolve by itself.
        """
        limits = {
            Kind.IMAGE: self.image,
            Kind.ENDED: self.image,
            Kind.SCHEDULING: self.scheduling,
            Kind.QUOTA: self.quota,
        }
        return limits.get(kind, 0)
