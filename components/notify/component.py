"""KFP definition of the exit handler that reports how a run ended."""

from kfp import dsl

from components.images import image


@dsl.container_component
def notify(status: dsl.PipelineTaskFinalStatus, webhook: str = ""):
    """Posts the outcome of the run to a webhook, if one is configured.

    Args:
        status: Final status of the run, provided by KFP.
        webhook: URL that receives JSON. Empty: the URL in the secret frcnn-webhook; without it, no message.
    """
    return dsl.ContainerSpec(
        image=image("publish"),
        command=["python", "-m", "components.notify.main"],
        args=["--status", status, "--webhook", webhook],
    )
