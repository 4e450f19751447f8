"""What a command loads before it has to: a command line should answer at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "scipy", "pandas", "matplotlib", "pyarrow", "numba", "tea_tasting"}
MAIN = """
import sys
from simulator.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules)
"""


def loaded(code: str, *words: str) -> set[str]:
    """The packages that a process has loaded at its end."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["check", "quickstart", "--set", "serving.slate=0"], ["check", "quickstart"]],
)
def test_help_and_the_check_of_a_scenario_load_no_large_package(words: list[str]) -> None:
    found = loaded(MAIN, *words)
    assert "simulator" in found
    assert found.isdisjoint(HEAVY)


@pytest.mark.slow
def test_a_run_of_linear_learners_loads_no_torch(tmp_path: Path) -> None:
    small = ["phases={warmup_days: 1, aa_days: 1, ab_days: 1}", "world.users.n=100", "world.drift=[]"]
    settings = [*small, "learner.kind=linear"]
    found = loaded(
        MAIN, "run", "quickstart", "--quiet", "--out", str(tmp_path / "run"), *(f"--set={one}" for one in settings)
    )
    assert (tmp_path / "run" / "report.html").exists()
    assert {"numba", "scipy"} <= found
    assert found.isdisjoint({"torch", "river"})
