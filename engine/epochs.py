"""The order of examples in each epoch."""

from __future__ import annotations

import numpy as np


def epoch_orders(train_count: int, epochs: int) -> np.ndarray:
    """Return (epochs - 1, train_count) int64: the order of examples from the second epoch on (the first is natural).

    The reference shuffles with the C++ library's own algorithm; here each epoch is a permutation by NumPy's PCG64, the same for all tasks.
    """
    generator = np.random.Generator(np.random.PCG64(3274582109))
    orders = [generator.permutation(train_count) for _ in range(epochs - 1)]
    return np.array(orders, np.int64).reshape(epochs - 1, train_count) if orders else np.zeros((1, 1), np.int64)
