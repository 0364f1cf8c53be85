"""How much a filter matters: the L2 norm of its kernel, set in relation to its layer's others.

Source: Molchanov et al. 2016 (magnitude criterion); the rules are the reference's (tao-facts section 8).
"""

import numpy as np

from frcnn.errors import ModelError
from frcnn.pruning.settings import Criterion, Normalizer

# Numbers that are taken to float64 at a time.
_BLOCK = 1 << 20


def filter_scores(kernel: np.ndarray, filters: int, normalizer: Normalizer, layer: str) -> np.ndarray:
    """Normalised norms of a layer's filters, float64 [filters], without unit.

    Args:
        kernel: Convolution [..., channels, filters], dense [channels, filters] or depthwise
            [..., channels, multiplier] with filters = channels * multiplier. Biases do not count.
        filters: How many there are.
        normalizer: `max`: norm / largest norm; `L2`: norm / L2 norm of all norms, times their number.
        layer: Its name, for the message.

    Raises:
        ModelError: A weight is not finite.
    """
    rows = kernel.reshape(-1, filters)
    norms = np.sqrt(_squares(rows))
    if not np.isfinite(norms).all():
        raise ModelError(
            f"layer {layer} has weights that are not finite; prune a model whose training went well"
        )
    scale = norms.max(initial=0.0) if normalizer == "max" else np.linalg.norm(norms) / max(filters, 1)
    # A layer of zeros has no filter that matters more than another.
    return norms / scale if scale > 0 else norms


def _squares(rows: np.ndarray) -> np.ndarray:
    """Sums over the rows in float64, block by block: a copy of VGG's first dense layer would be 800 MB."""
    sums = np.zeros(rows.shape[1])
    step = max(_BLOCK // max(rows.shape[1], 1), 1)
    for start in range(0, len(rows), step):
        block = rows[start : start + step].astype(np.float64)
        sums += np.einsum("ij,ij->j", block, block)
    return sums


def merge_scores(scores: np.ndarray, owners: np.ndarray, count: int, criterion: Criterion) -> np.ndarray:
    """One score for each channel from those of all filters that stand for it.

    Args:
        scores: Of filters, [F].
        owners: The channel of each, 0 to `count` - 1, [F].
        count: Channels.
        criterion: `union` takes the largest, `intersection` the smallest, the means their mean.

    Returns:
        float64 [count]; NaN for channels that no filter stands for.
    """
    if criterion == "union":
        merged = np.full(count, -np.inf)
        np.maximum.at(merged, owners, scores)
    elif criterion == "intersection":
        merged = np.full(count, np.inf)
        np.minimum.at(merged, owners, scores)
    else:
        merged = _means(scores, owners, count, geometric=criterion == "geometric_mean")
    return np.where(np.isfinite(merged), merged, np.nan)


def _means(scores: np.ndarray, owners: np.ndarray, count: int, *, geometric: bool) -> np.ndarray:
    # The logarithm of 0 is -inf, and exp gives the 0 back that the geometric mean then is.
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.zeros(count)
        np.add.at(sums, owners, np.log(scores) if geometric else scores)
        means = sums / np.bincount(owners, minlength=count)
    return np.exp(means) if geometric else means
