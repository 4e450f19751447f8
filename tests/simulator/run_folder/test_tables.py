"""Tables are arrow's, whatever their columns were made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from simulator.run_folder.tables import table_of


def test_a_table_of_arrays_is_what_arrow_makes_of_them() -> None:
    columns = {
        "id": np.arange(9),
        "every_second": np.arange(18, dtype=np.int32)[::2],
        "share": np.linspace(0, 1, 9),
        "is_bot": np.arange(9) % 3 == 0,
        "arm": ["control"] * 9,
        "phase": pa.repeat(pa.scalar("ab"), 9),
    }
    assert table_of(columns).equals(pa.table(columns))
    assert table_of({"none": np.empty(0, bool)}).equals(pa.table({"none": np.empty(0, bool)}))
