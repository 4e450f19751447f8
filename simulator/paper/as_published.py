"""What was published: the paper's tables, and the open benchmark's figures for the same models.

Cai et al. 2022, "ReLoop", Tables 1 to 3. BARS: the leaderboards of Criteo_x1, Avazu_x1, MovielensLatest_x1 and Frappe_x1 (Zhu
et al. 2022, "BARS: Towards open benchmarking for recommender systems"); its entries are the best of five runs where it made
several: DeepFM's .9842 on Frappe is the best of five with mean .9839.
"""

from __future__ import annotations

__all__ = ["BARS", "TABLE_1", "TABLE_2", "TABLE_3"]

Figures = tuple[float, float]  # AUC, log loss

_DATA_SETS = ("criteo", "avazu", "movielens_tag", "frappe")

_TABLE_1: dict[tuple[str, str], tuple[float, ...]] = {
    ("lr", "bce"): (0.7858, 0.4636, 0.7313, 0.4065, 0.9215, 0.3080, 0.9329, 0.2860),
    ("fm", "bce"): (0.7933, 0.4574, 0.7496, 0.3740, 0.9388, 0.2797, 0.9641, 0.2143),
    ("nfm", "bce"): (0.7968, 0.4537, 0.7531, 0.3761, 0.9441, 0.3004, 0.9727, 0.2079),
    ("ipnn", "bce"): (0.8026, 0.4509, 0.7526, 0.3737, 0.9469, 0.2792, 0.9735, 0.2012),
    ("wide_deep", "bce"): (0.8062, 0.4453, 0.7529, 0.3744, 0.9381, 0.3310, 0.9728, 0.2038),
    ("dcn", "bce"): (0.8059, 0.4463, 0.7550, 0.3721, 0.9419, 0.2791, 0.9402, 0.2808),
    ("deepfm", "bce"): (0.8025, 0.4501, 0.7535, 0.3742, 0.9424, 0.3131, 0.9719, 0.2108),
    ("xdeepfm", "bce"): (0.8070, 0.4443, 0.7535, 0.3737, 0.9448, 0.2717, 0.9738, 0.2098),
    ("fmfm", "bce"): (0.8056, 0.4462, 0.7603, 0.3685, 0.9465, 0.2714, 0.9749, 0.2004),
    ("afn_plus", "bce"): (0.8074, 0.4451, 0.7555, 0.3718, 0.9500, 0.2585, 0.9783, 0.1762),
    ("dcn", "kd"): (0.8136, 0.4473, 0.7653, 0.3906, 0.9648, 0.2164, 0.9837, 0.1672),
    ("deepfm", "kd"): (0.8135, 0.4462, 0.7652, 0.3690, 0.9650, 0.2183, 0.9803, 0.1552),
    ("dcn", "reloop"): (0.8138, 0.4381, 0.7648, 0.3667, 0.9693, 0.2189, 0.9843, 0.1660),
    ("deepfm", "reloop"): (0.8139, 0.4382, 0.7659, 0.3750, 0.9687, 0.2160, 0.9848, 0.1549),
}
_BARS: dict[str, tuple[float, ...]] = {
    "lr": (0.7886, 0.4609, 0.7516, 0.3735, 0.9342, 0.3201, 0.9356, 0.3076),
    "fm": (0.8022, 0.4491, 0.7613, 0.3677, 0.9434, 0.2729, 0.9671, 0.2065),
    "nfm": (0.8053, 0.4459, 0.7627, 0.3677, 0.9496, 0.2664, 0.9804, 0.2058),
    "ipnn": (0.8137, 0.4383, 0.7630, 0.3676, 0.9699, 0.2095, 0.9841, 0.1540),
    "wide_deep": (0.8139, 0.4380, 0.7649, 0.3665, 0.9688, 0.2161, 0.9841, 0.1490),
    "dcn": (0.8138, 0.4381, 0.7652, 0.3665, 0.9687, 0.2160, 0.9839, 0.1527),
    "deepfm": (0.8137, 0.4381, 0.7648, 0.3667, 0.9685, 0.2130, 0.9842, 0.1482),
    "xdeepfm": (0.8139, 0.4380, 0.7647, 0.3671, 0.9697, 0.2409, 0.9845, 0.1466),
    "fmfm": (0.8056, 0.4463, 0.7595, 0.3689, 0.9465, 0.2714, 0.9749, 0.2004),
    "afn_plus": (0.8143, 0.4377, 0.7640, 0.3671, 0.9642, 0.3030, 0.9826, 0.2139),
}


def _by_data_set(row: tuple[float, ...]) -> dict[str, Figures]:
    return dict(zip(_DATA_SETS, zip(row[::2], row[1::2], strict=True), strict=True))


TABLE_1: dict[tuple[str, str], dict[str, Figures]] = {key: _by_data_set(row) for key, row in _TABLE_1.items()}
"""(model, arm) → data set → AUC and log loss."""

BARS: dict[str, dict[str, Figures]] = {model: _by_data_set(row) for model, row in _BARS.items()}
"""model → data set → AUC and log loss, by cross-entropy."""

TABLE_2: dict[str, tuple[float, float, float]] = {
    "bce": (0.7394, 0.2959, 0.0),
    "kd": (0.7458, 0.2743, 0.018),
    "reloop": (0.7483, 0.2313, 0.018),
}
"""arm → AUC, log loss, and the time that it costs beyond the baseline's, relative; on the authors' production data."""

TABLE_3 = (0.0138, 0.0201, 0.0134, 0.0064, 0.0261, 0.0113, 0.0109)
"""Uplift in CTR on each day of a week, A/B - A/A, relative; mean 1.46%."""
