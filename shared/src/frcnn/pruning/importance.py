"""Scores filters by the L2 norm of their kernels, normalized within each layer.

Source: Molchanov et al. 2016 (magnitude criterion). Normalizers and criteria are those of TAO's `prune`.
"""

import numpy as np

from frcnn.errors import ModelError
from frcnn.pruning.settings import Criterion, Normalizer

# Number of values converted to float64 at a time.
_BLOCK = 1 << 20


def filter_scores(kernel: np.ndarray, filters: int, normalizer: Normalizer, layer: str) -> np.ndarray:
    """Computes the normalized norms of a layer's filters.

    Args:
        kernel: Convolution `[..., channels, filters]`, dense `[channels, filters]` or depthwise
            `[..., channels, multiplier]` with filters = channels * multiplier. Biases do not count.
        filters: Number of filters.
        normalizer: `max` divides by the largest norm; `L2` divides by the L2 norm of all norms and
            multiplies by their number.
        layer: Name of the layer, for the error message.

    Returns:
        Scores, float64 `[filters]`.

    Raises:
        ModelError: A weight is not finite.
    """
    rows = kernel.reshape(-1, filters)
    norms = np.sqrt(_squares(rows))
    if not np.isfinite(norms).all():
        raise ModelError(f"layer {layer} has weights that are not finite. Choose an earlier checkpoint.")
    scale = norms.max(initial=0.0) if normalizer == "max" else np.linalg.norm(norms) / max(filters, 1)
    # In a layer of zeros all filters are equal.
    return np.asarray(norms / scale if scale > 0 else norms)


def _squares(rows: np.ndarray) -> np.ndarray:
    """Sums squares over rows in float64, in blocks: a copy of VGG's first dense layer would take 800 MB."""
    sums = np.zeros(rows.shape[1])
    step = max(_BLOCK // max(rows.shape[1], 1), 1)
    for start in range(0, len(rows), step):
        block = rows[start : start + step].astype(np.float64)
        sums += np.einsum("ij,ij->j", block, block)
    return sums


def merge_scores(scores: np.ndarray, owners: np.ndarray, count: int, criterion: Criterion) -> np.ndarray:
    """Merges the scores of all filters that share a channel into one score per channel.

    Args:
        scores: Filter scores, float64 `[F]`.
        owners: Channel of each filter, 0 to `count` - 1, int64 `[F]`.
        count: Number of channels.
        criterion: `union` takes the largest score, `intersection` the smallest, the means their mean.

    Returns:
        Channel scores, float64 `[count]`; NaN for channels without filters.
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
    # log(0) is -inf, and exp turns it back into 0, the correct geometric mean.
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.zeros(count)
        np.add.at(sums, owners, np.log(scores) if geometric else scores)
        means = sums / np.bincount(owners, minlength=count)
    return np.exp(means) if geometric else means
