"""The documentation is true: its scenarios are valid, its files run, its pictures are what the code draws."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from reloop_stream import losses
from reloop_stream.config.yaml_files import parse_yaml
from simulator.__main__ import main
from simulator.paper import figure2
from simulator.scenario import parse_scenario
from tests.rooms import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


YAML = [(page.stem, text) for page in PAGES if page.stem != "your-own" for text in blocks(page, "yaml")]
LINKS = [
    (page, target)
    for page in (*PAGES, *ROOT.glob("*.md"), ROOT / "examples" / "README.md")
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    if not target.startswith("https://")
]


@pytest.mark.parametrize("page, text", YAML, ids=[f"{page}-{i}" for i, (page, _) in enumerate(YAML)])
def test_a_yaml_block_is_a_valid_part_of_a_scenario(page: str, text: str) -> None:
    """Those of your-own.md name what its own file registers: the test below runs it."""
    arms = [{"name": "control", "share": 1.0}]
    parse_scenario({"name": "page", "arms": arms, **parse_yaml(text, page)}, lambda _: page)


def test_the_pages_have_the_yaml_that_the_test_above_is_for() -> None:
    assert {page for page, _ in YAML} >= {"kafka", "updating", "models"} and len(YAML) >= 5


@pytest.mark.slow
def test_a_model_and_a_loss_of_one_s_own_run_as_an_arm_in_under_forty_lines(tmp_path: Path) -> None:
    page = DOCS / "your-own.md"
    (code,), (scenario,) = blocks(page, "python"), blocks(page, "yaml")
    assert len(code.splitlines()) < 40
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(scenario, encoding="utf-8")
    assert main(["run", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("page, target", LINKS, ids=[f"{page.name}: {target}" for page, target in LINKS])
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_the_curves_of_figure_2_slope_as_their_gradients_say() -> None:
    for y in (0, 1):
        found = figure2.curves(y, p_last=0.4, alpha=0.3)
        inner = (np.abs(found.p[1:-1] - 0.4) > 0.001) & (np.abs(found.p[1:-1] - 0.5) < 0.48)
        for name, value in found.value.items():
            by_p = (value[2:] - value[:-2]) / (found.p[2:] - found.p[:-2])
            by_logit = by_p * found.p[1:-1] * (1 - found.p[1:-1])
            np.testing.assert_allclose(by_logit[inner], found.gradient[name][1:-1][inner], atol=2e-3)


def test_figure_2_is_drawn_with_what_was_asked_for(tmp_path: Path) -> None:
    drawn = []
    for name, settings in (("a", []), ("b", []), ("c", ["--alpha", "0.2"]), ("d", ["--p-last", "0.1"])):
        assert main(["paper", "figure2", "--out", str(tmp_path / f"{name}.svg"), *settings]) == 0
        drawn.append((tmp_path / f"{name}.svg").read_bytes())
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3
    assert drawn[0] == (DOCS / "figure2.svg").read_bytes()


@pytest.mark.parametrize("arguments", [["--alpha", "nan"], ["--alpha", "2"], ["--p-last", "0"], ["--out", "x.pdf"]])
def test_a_figure_that_cannot_be_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["paper", "figure2", *arguments])


def test_the_page_s_worked_value_is_the_formula_s() -> None:
    by_hand = 0.2 * (0.05 - 0.02) + 0.8 * -np.log(0.02)
    assert float(losses.reloop(0.02, 0.05, 1, 0.2)) == pytest.approx(by_hand)
