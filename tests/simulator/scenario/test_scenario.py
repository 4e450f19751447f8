"""The YAML contract: every mistake names its path, the value and the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from reloop_stream.config import apply_overrides
from reloop_stream.errors import ConfigError
from simulator.errors import ScenarioError
from simulator.run_folder.columns import BOUND_POLICIES
from simulator.scenario import load_scenario, parse_scenario, to_yaml
from tests.conftest import TINY
from tests.simulator.runs import lab

BASE: dict[str, Any] = yaml.safe_load(TINY)

MISTAKES = {
    "misspelt key": ("world.usres={n: 3}", "world.usres: unknown key, did you mean `users`?"),
    "misspelt top-level key": ("serv1ng={slate: 3}", "serv1ng: unknown key, did you mean `serving`?"),
    "wrong type": ("world.users.n=many", "world.users.n: got 'many', must be a valid integer"),
    "out of bounds": ("join.attribution_hours=0", "join.attribution_hours: got 0, must be greater than 0"),
    "not finite": ("join.attribution_hours=.nan", "join.attribution_hours: got nan, must be"),
    "shares": ("arms.0.share=0.7", "arms: the shares add up to 1.2, must add up to 1"),
    "share of one arm alone": (
        "arms=[{name: control, share: 0.5}, {name: other}]",
        "arms: other has no share, others have one; give it to each, or to none",
    ),
    "paired simulation": (
        "experiment.design=paired",
        "experiment.design: got paired, must be split in a simulation: a user can be shown one slate only",
    ),
    "equal names": ("arms.1.name=control", "arms: names must differ, got ['control', 'control']"),
    "name that is a path": ("arms.1.name=../up", "arms[1].name: got '../up', must be of letters from A to Z"),
    "unknown kind": ("serving.policy={name: best}", "serving.policy.name: got 'best', must be one of 'greedy'"),
    "missing kind": ("serving.policy={epsilon: 0.1}", "serving.policy: must say which `name` it is"),
    "tick": ("tick_minutes=7", "tick_minutes: got 7, must divide a day (1440 minutes)"),
    "slate above candidates": ("serving.slate=13", "serving.slate: got 13, must be at most world.candidates.k (12)"),
    "log": ("log.url=redis://x", "log.url: got 'redis://x', must be `embedded` or `kafka://HOST:PORT[,HOST:PORT]`"),
    "log setting": (
        "log.kafka={sasl_mechansim: PLAIN}",
        "log.kafka.sasl_mechansim: unknown setting of Kafka's clients, did you mean `sasl_mechanism`?",
    ),
    "log secret": (
        "log.kafka={security_protocol: SSL, ssl_password: hunter}",
        "log.kafka.ssl_password: is a secret, which the run folder would keep; give it as env:NAME or file:PATH",
    ),
    "world and data": ("data={format: libfm, path: x, fields: 2}", "world, data: a run has"),
    "drift": (
        "world.drift=[{kind: sudden, target: taste, magnitude: 2, day: 1}]",
        "world.drift[0].magnitude: got 2.0, must be in [0, 1] for taste",
    ),
    "truth for a number": ("serving.slate=true", "serving.slate: got true, must be a number"),
    "truths for numbers": ("learner.model.hidden=[8, true]", "learner.model.hidden[1]: got true, must be a number"),
    "number for a text": ("name=1e3", "name: got 1000.0, must be a valid string: write it in quotes"),
    "nothing": ("tick_minutes=null", "tick_minutes: got null, must be a valid integer"),
    "no kind of option": (
        "learner.loss.options.rate=[1]",
        "learner.loss.options.rate: got [1], must be a finite number, a text, true or false",
    ),
    "option out of bounds": ("learner.loss.options.rate=.inf", "learner.loss.options.rate: got inf, must be a finite"),
    "none of several kinds": ("log.kafka.client_id=null", "log.kafka.client_id: got null, must be a valid string"),
    "seed": ("seed.model=99999999999999999999", "seed.model: got 99999999999999999999, must be less than or equal"),
    "time without end": (
        "join.attribution_hours=1e300",
        "join.attribution_hours: got 1e+300, must be less than or equal",
    ),
    "field twice": (
        "features=[{name: user}, {name: item}, {name: user}]",
        "features: the field 'user' is there twice ([0] and [2]); remove one",
    ),
    "name of a role": ("arms.1.name=everyone", "arms[1].name: got 'everyone', which is what a run calls the one"),
    "unknown truth": (
        "truth=pairs",
        "truth: got 'pairs', must be paired, none, or a mapping of experiment, launch, bounds",
    ),
    "no arm": ("arms=[]", "arms: got [], must have at least 1 item"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_the_path_the_value_and_the_rule(name: str) -> None:
    change, message = MISTAKES[name]
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(apply_overrides(BASE, [change]), lambda _: "file.yaml")
    assert f"file.yaml: {message}" in str(caught.value)


@pytest.mark.parametrize("name", BOUND_POLICIES)
def test_an_arm_may_be_called_as_a_bound_only_where_none_is_asked_for(name: str) -> None:
    parse_scenario(apply_overrides(BASE, [f"arms.1.name={name}"]))
    with pytest.raises(ScenarioError, match=f"arms: got the name '{name}', which truth.bounds gives to its own"):
        parse_scenario(apply_overrides(BASE, [f"arms.1.name={name}", "truth.bounds=true"]))


def test_a_replay_has_no_bounds() -> None:
    raw = {"name": "x", "data": {"format": "libfm", "path": "x", "fields": 2}, "features": [{"name": "f1"}]}
    with pytest.raises(ScenarioError, match=r"truth\.bounds: got true, must be false in a replay"):
        parse_scenario({**raw, "arms": [{"name": "a"}], "truth": {"bounds": True}})


NAMES = {
    "00": "`00` has a leading zero", "true": "got true, must be a valid string: write it in quotes",
    "1e3": "got 1000.0, must be a valid string: write it in quotes", "no": "`no` is a truth value to some",
    "~": "got null", '"a b"': "got 'a b', must be of letters from A to Z, digits, _ . and -", '"a/b"': "must be of letters",
    '".."': "must be of letters", "é": "must be of letters", '"1\\n"': "must be of letters", "x" * 65: "at most 64 characters",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused_with_its_line_before_there_is_a_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"name: x\narms:\n  - share: 0.5\n    name: {name}\n  - {{name: b, share: 0.5}}\n")
    done = lab("run", tmp_path / "x.yaml", "--out", tmp_path / "out")
    assert done.code == 2 and f"x.yaml line 4: {'' if NAMES[name][0] == '`' else 'arms[0].name: '}" in done.err
    assert NAMES[name] in done.err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["00", "true", "1e3", "010", "0.10", "no", "null", "2020-01-01", "0o17", "NaN", "1_0"])
def test_a_name_in_quotes_stays_that_text(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f'name: "{name}"\narms: [{{name: "{name}", share: 1}}]\n')
    scenario = load_scenario(tmp_path / "x.yaml")
    assert scenario.name == scenario.control.name == name
    (tmp_path / "again.yaml").write_text(to_yaml(scenario))
    assert load_scenario(tmp_path / "again.yaml") == scenario
    assert yaml.safe_load(to_yaml(scenario))["arms"][0]["name"] == name


def test_a_mistake_names_the_line_that_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "name: x\nlearner:\n  optimizer:\n    lr: 99\narms:\n  - {name: a, share: 0.5}\n"
        "  - name: b\n    share: 0.5\n    learner: {loss: {alhpa: 1}}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, ["serving.slate=99"])
    lines = str(caught.value).splitlines()
    assert f"{path}: serving.slate: got 99, must be less than or equal to 64" in lines  # --set has no line
    for whose in ("", "arms[0].", "arms[1]."):
        assert f"{path} line 4: {whose}learner.optimizer.lr: got 99, must be less than or equal to 10" in lines
    assert f"{path} line 9: arms[1].learner.loss.alhpa: unknown key, did you mean `alpha`?" in lines and len(lines) == 5


def test_a_key_that_is_given_twice_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: x\narms: [{name: a, share: 1}]\nlearner: {}\nlearner: {model: {name: fm}}\n")
    done = lab("run", path, "--out", tmp_path / "out")
    assert done.code == 2 and "twice.yaml line 4: `learner` is given twice (first in line 3); remove one" in done.err
    assert not (tmp_path / "out").exists()


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(apply_overrides(BASE, ["serving.slate=0", "world.ctr=2", "nmae=x"]))
    assert len(str(caught.value).splitlines()) == 3


def test_an_examination_is_by_position_unless_told() -> None:
    scenario = parse_scenario(apply_overrides(BASE, ["world.choice.looking={eta: 0}"]))
    assert scenario.world is not None and scenario.world.choice.looking.examination == "position"


def test_an_arm_s_learner_is_merged_over_the_scenario_s() -> None:
    scenario = parse_scenario(apply_overrides(BASE, ["learner.optimizer.lr=0.2", "arms.1.learner.optimizer={l2: 0.1}"]))
    control, treatment = (arm.learner for arm in scenario.arms)
    assert control.optimizer.lr == treatment.optimizer.lr == 0.2
    assert (control.optimizer.l2, treatment.optimizer.l2) == (0.0, 0.1)
    assert treatment.loss.name == "reloop" and treatment.model == control.model


@pytest.mark.parametrize(
    "override, message",
    [
        ("serving.slate", "must be path.to.key=value"),
        ("arms.7.share=1", "has 2 entries, numbered from 0; got '7'"),
        ("name.first=x", "name is 'tiny', which has no key 'first'"),
        ("serving.slate=[", "not valid YAML: while parsing a flow node"),
    ],
)
def test_a_bad_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides(BASE, [override])
    assert f"--set {override}" in str(caught.value) and message in str(caught.value)


REPLAY = {**{key: value for key, value in BASE.items() if key != "world"}, "features": [{"name": "user_id"}]} | {
    "data": {"format": "libfm", "path": "x", "fields": 2}
}


def test_a_replay_is_paired_and_a_simulation_split_unless_told() -> None:
    found = [parse_scenario(raw).experiment.design for raw in (BASE, REPLAY)]
    found.append(
        parse_scenario(apply_overrides(REPLAY, ["experiment={design: split, data: shared}"])).experiment.design
    )
    assert found == ["split", "paired", "split"]
    resolved = yaml.safe_load(to_yaml(parse_scenario(REPLAY)))
    assert resolved["experiment"]["design"] == "paired"


@pytest.mark.parametrize(
    "change, message",
    [
        ("experiment.data=shared", "experiment.data: got shared, must be own in a paired replay: every arm has every"),
        (
            "arms=[{name: a, share: 0.3}, {name: b, share: 0.7}]",
            "arms: got shares of 0.3, 0.7, must be equal or left out",
        ),
    ],
)
def test_what_only_split_users_have_is_refused_in_a_paired_replay(change: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(apply_overrides(REPLAY, [change]))
    assert message in str(caught.value) and "experiment.design: split" in str(caught.value)
    parse_scenario(apply_overrides(REPLAY, [change, "experiment.design=split"]))


def test_arms_without_shares_have_equal_ones() -> None:
    scenario = parse_scenario(apply_overrides(BASE, ["arms=[{name: a}, {name: b}, {name: c}]"]))
    assert scenario.shares == [1 / 3] * 3 and parse_scenario(BASE).shares == [0.5, 0.5]


def test_unequal_shares_on_own_data_and_a_missing_a_a_period_are_warned_of() -> None:
    changes = ["arms.0.share=0.8", "arms.1.share=0.2", "phases.aa_days=0"]
    warnings = parse_scenario(apply_overrides(BASE, changes)).warnings()
    assert "confounded with its method" in warnings[0] and "no A/A period" in warnings[1]


def test_what_late_labels_make_misleading_is_warned_of() -> None:
    def warnings(*changes: str) -> str:
        return "\n".join(parse_scenario(apply_overrides(BASE, changes)).warnings())

    late = "join.emit=at_once"
    for name in ("fnw", "fnc"):
        corrected = f"arms.1.learner.loss={{name: {name}}}"
        assert f"arm reloop: loss {name} corrects for clicks that are shown twice" in warnings(corrected)
        assert warnings(corrected, late) == ""
    assert "holds each click as a negative too" in warnings("arms.1.learner.memory={}", late)
    assert warnings("arms.1.learner.memory={}") == ""
    assert "the control control never learns" in warnings("arms.0.learner.updating={mode: none}")


def test_a_catalogue_that_is_large_against_its_buckets_is_warned_of_with_the_share_that_collides() -> None:
    def warned(live: int, buckets: int | None) -> list[str]:
        fields = [] if buckets is None else [f"features=[{{name: item_id, buckets: {buckets}}}]"]
        return parse_scenario(apply_overrides(BASE, [f"world.items.live={live}", *fields])).warnings()

    assert warned(5_000, None) == []
    (found,) = warned(50_000, None)
    hit = np.bincount(np.random.default_rng(1).integers(0, 1 << 15, 50_000), minlength=1 << 15)
    share = hit[hit > 1].sum() / 50_000
    assert f"world.items.live: 50,000 items hash into 32,768 buckets of item_id, so {share:.0%} of those" in found
    assert "{name: item_id, mode: hashed, buckets: 524288} say" in found
    assert warned(50_000, 524288) == [] and "into 1,000 buckets" in warned(400, 1000)[0]
