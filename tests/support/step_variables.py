"""Variables in which `frcnn pipeline` passes flags on to the definition of the pipeline."""

from pipelines import pods

POD_VARIABLES = (
    *(pods.NODE_SELECTOR_VARIABLE, pods.TOLERATION_VARIABLE),
    *(pods.STORAGE_VARIABLE, pods.PULL_SECRET_VARIABLE, pods.NON_ROOT_VARIABLE),
)
STEP_VARIABLES = (*POD_VARIABLES, "FRCNN_REGISTRY", "FRCNN_TAG")
