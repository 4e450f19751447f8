"""Tables of one's own for tests: experiments that no world of ours made, with what is known of them planted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from simulator.readout.compute import compute
from simulator.readout.results import Results
from simulator.run_folder.own_table import run_of_table

__all__ = ["experiment", "read"]


def experiment(
    users: int = 600,
    days: int = 4,
    uplift: float | Mapping[str, float] = 0.0,
    seed: int = 1,
    arms: tuple[str, ...] = ("control", "new"),
) -> pd.DataFrame:
    """A row a user and day, half of the days A/A: users keep their rates. uplift: of all arms but the first in A/B, or by
    device (phone, desk)."""
    rng = np.random.default_rng(seed)
    rate, device = rng.beta(2, 18, users), rng.choice(["phone", "desk"], users)
    arm = rng.integers(0, len(arms), users)
    user, day = (column.ravel() for column in np.meshgrid(np.arange(users), np.arange(days)))
    came = rng.random(len(user)) < 0.8
    user, day = user[came], day[came]
    ab = day >= days // 2
    by_device = {"phone": uplift, "desk": uplift} if isinstance(uplift, float) else uplift
    gain = np.array([by_device[one] for one in device])[user] * (ab & (arm[user] > 0))
    shown = rng.poisson(10, len(user)) + 1
    return pd.DataFrame(
        {
            "user": user, "arm": np.array(arms)[arm[user]], "phase": np.where(ab, "ab", "aa"), "day": day,
            "device": device[user], "exposures": shown, "clicks": rng.binomial(shown, np.clip(rate[user] * (1 + gain), 0, 1)),
        }
    )  # fmt: skip


def read(frame: pd.DataFrame, **said: Any) -> Results:
    """Its results; nothing is written."""
    return compute(run_of_table(Path("own.csv"), pa.Table.from_pandas(frame, preserve_index=False), **said))
