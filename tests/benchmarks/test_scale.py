"""What the benchmark of growth computes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.scale import KNOBS, QUICK, and_below, exponent, overrides, pss_mib
from simulator.scenario import find_scenario, load_scenario

SLEEPS = "import subprocess, sys; print(flush=True); sys.stdin.read()"
HAS_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPS!r}])"


def test_the_exponent_is_the_power_by_which_a_cost_grows() -> None:
    assert exponent({20: 5.0, 300: 5.0, 600: 5.0}) == pytest.approx(0, abs=1e-12)
    assert exponent({20: 2.0 * 20**0.5, 300: 2.0 * 300**0.5, 600: 2.0 * 600**0.5}) == pytest.approx(0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts memory by process like this")
def test_memory_is_that_of_a_process_and_all_below_it() -> None:
    with subprocess.Popen([sys.executable, "-c", HAS_A_CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        parent.stdout.readline()  # from the grandchild, which is there then
        found = [*and_below(parent.pid)]
        assert found[0] == parent.pid and len(found) == 2
        assert all(pss_mib(process) > 1 for process in found)
        parent.stdin.close()
    assert pss_mib(parent.pid) == 0


def test_every_run_of_it_is_a_scenario() -> None:
    for knob in KNOBS:
        for value in (*KNOBS[knob], *QUICK[knob]):
            settings = {"users": 3_000, "items": 2_000, "k": 30, "arms": 2} | (
                {} if knob == "workers" else {knob: value}
            )
            scenario = load_scenario(find_scenario("newsfeed"), overrides(**settings))
            assert scenario.world is not None and scenario.world.users.n == settings["users"]
            assert len(scenario.arms) == settings["arms"]
