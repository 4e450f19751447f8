"""Makes obp_vectors.json: rows of a log, and what the obp package (Open Bandit Pipeline) says of them.

    python -m pip install obp==0.4.1 && python tests/simulator/readout/statistics/obp_vectors.py

obp wants older packages than this project, so it is no requirement, and its answers are kept instead.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

ROWS, ACTIONS, POSITIONS = 200, 6, 3
SWITCH, CLIP = 1.5, 2.0


def vectors() -> dict[str, object]:
    from obp.ope import (
        DoublyRobust,
        InverseProbabilityWeighting,
        SelfNormalizedInverseProbabilityWeighting,
        SwitchDoublyRobust,
    )

    rng = np.random.default_rng(7)
    rows = np.arange(ROWS)
    action, position = rng.integers(0, ACTIONS, ROWS), rng.integers(0, POSITIONS, ROWS)
    reward = (rng.random(ROWS) < 0.2).astype(float)
    propensity = rng.uniform(0.02, 0.6, ROWS)
    policy = rng.dirichlet(np.full(ACTIONS, 0.7), (ROWS, POSITIONS)).transpose(
        0, 2, 1
    )  # as obp has it: [n, actions, positions]
    expected = rng.uniform(0.0, 0.5, (ROWS, ACTIONS, POSITIONS))
    target = policy[rows, action, position]
    asked = {"reward": reward, "action": action, "position": position, "action_dist": policy}
    model = {"estimated_rewards_by_reg_model": expected}
    # obp 0.4.1 does not clip: propensities that give the clipped weights stand for it.
    raised = {"as logged": propensity, "clipped": np.maximum(propensity, target / CLIP)}
    said: dict[str, dict[str, float]] = {}
    for name, pscore in raised.items():
        said[name] = {
            "ips": InverseProbabilityWeighting().estimate_policy_value(pscore=pscore, **asked),
            "snips": SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(pscore=pscore, **asked),
            "dr": DoublyRobust().estimate_policy_value(pscore=pscore, **asked, **model),
        }
    said["as logged"]["switch_dr"] = SwitchDoublyRobust(tau=SWITCH).estimate_policy_value(
        pscore=propensity, **asked, **model
    )
    columns = {
        "reward": reward,
        "propensity": propensity,
        "target": target,
        "q_logged": expected[rows, action, position],
        "q_target": (policy * expected).sum(axis=1)[rows, position],
    }
    rows_of = {name: column.tolist() for name, column in columns.items()}
    return {"obp": "0.4.1", "switch": SWITCH, "clip": CLIP, "rows": rows_of, "said": said}


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(vectors()) + "\n", encoding="utf-8")
