"""The rules by which peers call a regression, restated.

Each takes two series of one measure (higher is worse) and returns a score.

A score above 1 is a call. They work on the same numbers as ours; none corrects for how many
measures are looked at.
"""

import numpy as np
from scipy import stats


def pytest_benchmark(base, candidate):
    """``--benchmark-compare-fail=mean:5%``: one run of each, its mean 5 % higher.

    pytest-benchmark 5, ``utils.PercentageRegressionCheck``.
    """
    return (candidate[0] / base[0] - 1.0) / 0.05


def pyperf(base, candidate):
    """``pyperf compare_to`` (pyperf 2.9, ``_utils.is_significant``).

    Student's t of the run values, two-sided 95 %, pooled variance (ddof = 1).
    """
    result = stats.ttest_ind(candidate, base)
    critical = stats.t.ppf(0.975, len(base) + len(candidate) - 2)
    return float(result.statistic) / critical


def asv(base, candidate):
    """``asv continuous`` (asv 0.6, ``commands/compare.py``, ``_stats_util.mann_whitney_u``).

    Median 10 % higher, and p < 0.002.
    """
    p = stats.mannwhitneyu(candidate, base, alternative="two-sided").pvalue
    return min((np.median(candidate) / np.median(base) - 1.0) / 0.10, np.log(p) / np.log(0.002))


def kayenta(base, candidate):
    """Kayenta's ``MannWhitneyClassifier`` (tolerance 0.25, 98 %).

    High where the lower bound of the shift exceeds a quarter of its estimate.
    """
    shifts = np.sort(np.subtract.outer(candidate, base).ravel())
    estimate, n, m = np.median(shifts), len(base), len(candidate)
    half = stats.norm.ppf(0.99) * np.sqrt(n * m * (n + m + 1) / 12.0)
    lower = shifts[max(0, int(np.floor(n * m / 2.0 - half)))]
    return lower / (0.25 * estimate) if estimate > 0 else -1.0


def otava(base, candidate):
    """apache-otava (``analysis.py``, t-test, max p 0.001).

    A change point of the whole history where the new values begin, for the worse.

    The history is one value a session; sides of one value use the pooled variance of the other
    (ddof = 1; Otava's own window has ddof = 0).
    """
    if candidate.mean() <= base.mean():
        return -1.0
    p = stats.ttest_ind(candidate, base).pvalue
    return float(np.log(max(p, 1e-300)) / np.log(0.001))


def tango(base, candidate):
    """tango-bench 0.6 (``calculate_run_result``), for a worse candidate.

    The mean difference of pairs is 2.6 standard errors from 0 and more than 0.5 % of the candidate.
    Differences beyond 5 interquartile ranges of a quartile are left out, as many on each side.
    """
    differences = np.sort(candidate - base)
    first, third = np.quantile(differences, (0.25, 0.75))
    low = np.count_nonzero(differences < first - 5 * (third - first))
    high = np.count_nonzero(differences > third + 5 * (third - first))
    cut = min(low, high)
    kept = differences[cut : len(differences) - cut]
    error = kept.std(ddof=1) / len(kept) ** 0.5
    return min(kept.mean() / error / 2.6, kept.mean() / candidate.mean() / 0.005)


def duet(base, candidate):
    """Duet benchmarking (L. Bulej et al., ICPE 2020).

    The 99 % bootstrap interval of the geometric mean of the pairs' ratios lies above 1.
    """
    ratios = np.log(candidate / base)
    drawn = np.random.default_rng(5).choice(ratios, (1000, len(ratios))).mean(axis=1)
    middle, low = ratios.mean(), np.quantile(drawn, 0.005)
    if middle <= 0:
        return -1.0
    return float(middle / max(middle - low, 1e-12))


RULES = {
    "tango": tango,
    "duet": duet,
    "pytest-benchmark 5 %": pytest_benchmark,
    "pyperf": pyperf,
    "asv continuous": asv,
    "Kayenta": kayenta,
    "Otava, 1 point": otava,
    "Otava, 3 points": otava,
}
