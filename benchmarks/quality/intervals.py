"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

CONFIDENCE = 0.95


def wilson(successes: float, number: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share: ``successes`` of ``number`` trials, bounds in 0..1.

    Source: Wilson, *Probable inference, the law of succession, and statistical inference*, 1927.
    """
    if number == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / number
    middle = share + z * z / (2 * number)
    spread = z * sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    scale = 1 + z * z / number
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
