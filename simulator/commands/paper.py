"""python -m simulator paper: the paper's tables and figures, made again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reloop_stream.commands.arguments import whole
from reloop_stream.errors import ConfigError
from reloop_stream.runtime.exits import INTERRUPTED, OK, tell
from simulator.commands.run import run_and_print
from simulator.commands.scenario import add_overrides, overrides_of
from simulator.paper.names import ARMS, BACKBONES, DATA_SETS, MODELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["add_parser"]

ALPHAS = "0.1,0.2,0.3,0.5,0.7,0.9"

ABOUT_DATA = """data sets:
  frappe, movielens_tag  in libFM's format: one file, split 8:1:1 by each seed, or a folder of train, valid and test
  ml_tags, ml_ratings    a MovieLens folder or zip
"""
ABOUT_ARMS = """arms:
  bce         cross-entropy, which every model has
  bce_scaled  cross-entropy times 1 - alpha: the control that the paper lacks
  kd, reloop  knowledge distillation, and ReLoop
"""


def add_parser(commands: Any) -> None:
    """Add `paper` to the subparsers."""
    paper = commands.add_parser(
        "paper",
        help="the paper's tables and figures, made again",
        description="The tables and figures of the paper (Cai et al., SIGIR 2022), made again beside what was published. "
        "docs/paper.md says what they show.",
    )
    actions = paper.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_table1(actions)
    _add_table2(actions)
    _add_table3(actions)
    _add_figure2(actions)
    _add_figure3(actions)


def _add_table1(actions: Any) -> None:
    table = _action(
        actions,
        "table1",
        "models and arms on a public data set, over seeds",
        "Ten models by cross-entropy, and the other arms on two of them, over seeds: AUC and log loss, each arm's difference\n"
        "to its own backbone with its interval, p-values alone and (in brackets) corrected over the table, and what was\n"
        "published. A previous version, trained on 90% of the training rows, scores all of them; the new version learns\n"
        "them beside these scores. The table is printed, and is in --out with table1.csv and every cell: the same command\n"
        "goes on where it was stopped.",
        "python -m simulator paper table1 --dataset ml_tags --data ml-latest-small --seeds 10 --tune 16",
    )
    _add_rows(table)
    table.add_argument(
        "--models", metavar="A,B", help="which, with all arms on each (default: all, with arms on dcn and deepfm)"
    )
    table.add_argument("--arms", default=",".join(ARMS), metavar="A,B", help="which (default: %(default)s)")
    table.add_argument(
        "--alpha",
        type=_inner,
        metavar="A",
        help="the arms' alpha (default: tuned as any other setting; 0.2 without --tune)",
    )
    table.add_argument(
        "--tune", type=whole, default=1, metavar="N",
        help="settings that each arm tries on validation rows, of the regulariser, dropout, the rate, and alpha; the first "
        "are the open benchmark's (default: 1, these alone)",
    )  # fmt: skip
    table.set_defaults(carry_out=_table1)


def _add_table2(actions: Any) -> None:
    table = _action(
        actions,
        "table2",
        "AUC, log loss and time of distillation and ReLoop",
        "One model's arms over seeds, and the time of a pass over the training rows by each, as a ratio to cross-entropy's:\n"
        "the median of rounds in which the arms take turns. The paper's figures are of its own production data.",
        "python -m simulator paper table2 --dataset ml_ratings --data ml-latest-small",
    )
    _add_rows(table)
    table.add_argument("--model", choices=MODELS, default="deepfm", help="which (default: %(default)s)")
    table.set_defaults(carry_out=_table2)


def _add_table3(actions: Any) -> None:
    table = _action(
        actions,
        "table3",
        "uplift in CTR by day, A/A week and A/B week, beside the truth",
        "Runs a scenario with one more arm, the scaled control, all arms of equal shares: the uplift of each day with its\n"
        "interval, and the true one, which only a simulator knows. The run folder is that of `run`.",
        "python -m simulator paper table3 --seed 2 --out runs/table3",
        data=False,
    )
    table.add_argument("scenario", nargs="?", default="newsfeed", help="a YAML file or a name (default: %(default)s)")
    table.add_argument("--seed", type=int, metavar="N", help="sets the world's and the models' seed")
    add_overrides(table)
    table.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: as `run`)")
    _add_how(table)
    table.set_defaults(carry_out=_table3)


def _add_figure2(actions: Any) -> None:
    figure = _action(
        actions,
        "figure2",
        "the three losses and their gradients",
        "Cross-entropy, distillation and ReLoop as functions of the prediction, and their derivatives by the logit.",
        "python -m simulator paper figure2 --out figure2.svg",
        data=False,
    )
    _add_picture(figure, "figure2.svg")
    figure.add_argument(
        "--p-last", type=_inner, default=0.5, help="what the last version predicted (default: %(default)s)"
    )
    figure.add_argument(
        "--alpha", type=_unit, default=0.5, help="weight of the second part of the loss (default: %(default)s)"
    )
    figure.set_defaults(carry_out=_figure2)


def _add_figure3(actions: Any) -> None:
    figure = _action(
        actions,
        "figure3",
        "AUC against alpha",
        "The gain in AUC over cross-entropy of the same seed against alpha, with 95% intervals over seeds.",
        "python -m simulator paper figure3 --dataset ml_tags --data ml-latest-small --seeds 10 --picture figure3.svg",
    )
    _add_rows(figure)
    figure.add_argument("--models", default="dcn,deepfm", metavar="A,B", help="which (default: %(default)s)")
    figure.add_argument("--arms", default="bce_scaled,kd,reloop", metavar="A,B", help="which (default: %(default)s)")
    figure.add_argument("--alphas", type=_alphas, default=ALPHAS, metavar="A,B", help="which (default: %(default)s)")
    _add_picture(figure, "figure3.svg", "--picture")
    figure.set_defaults(carry_out=_figure3)


def _action(actions: Any, name: str, summary: str, about: str, example: str, *, data: bool = True) -> Any:
    shown = [about, ABOUT_DATA, ABOUT_ARMS] if data else [about]
    return actions.add_parser(
        name,
        help=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="\n\n".join(shown),
        epilog=f"example: {example}",
    )


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, choices=DATA_SETS, help="which data set")
    parser.add_argument(
        "--data", required=True, metavar="PATH", help="its file or folder; from here, then from the data cache"
    )
    parser.add_argument("--seeds", type=whole, default=5, metavar="N", help="seeds 1 to N (default: %(default)s)")
    parser.add_argument(
        "--p-last", choices=["in_sample", "out_of_fold", "serving"], default="in_sample",
        help="whose scores the new version is held to: in_sample, the paper's, which has seen most labels; out_of_fold, of "
        "versions that did not train on the row; serving, of versions trained on earlier rows alone (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of cells and tables (default: runs/paper-DATASET)"
    )
    _add_how(parser)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=whole, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _add_picture(parser: argparse.ArgumentParser, name: str, flag: str = "--out") -> None:
    parser.add_argument(
        flag, type=_picture, default=Path(name), metavar="FILE", help="SVG or PNG (default: %(default)s)"
    )


def _table1(chosen: argparse.Namespace) -> int:
    from simulator.paper.table1 import Plan, markdown, table_1

    others = [arm for arm in _named("--arms", chosen.arms, ARMS) if arm != "bce"]
    models = _named("--models", chosen.models, MODELS) if chosen.models else list(MODELS)
    on = models if chosen.models else BACKBONES
    arms = {model: ["bce", *(others if model in on else [])] for model in models}
    plan = Plan(chosen.dataset, chosen.data, chosen.p_last, arms, chosen.seeds, chosen.alpha, chosen.tune)
    return _unless_stopped(
        lambda: markdown(plan.data_set, table_1(plan, _out(chosen), chosen.workers, quiet=chosen.quiet))
    )


def _table2(chosen: argparse.Namespace) -> int:
    from simulator.paper.table1 import Plan
    from simulator.paper.table2 import table_2

    plan = Plan(chosen.dataset, chosen.data, chosen.p_last, {chosen.model: list(ARMS)}, chosen.seeds, None, 1)
    return _unless_stopped(lambda: table_2(plan, _out(chosen), chosen.workers, quiet=chosen.quiet))


def _table3(chosen: argparse.Namespace) -> int:
    from simulator.paper.table3 import markdown, with_control
    from simulator.scenario import find_scenario, load_scenario

    scenario = with_control(load_scenario(find_scenario(chosen.scenario), overrides_of(chosen)))
    return run_and_print(scenario, chosen, markdown)


def _figure2(chosen: argparse.Namespace) -> int:
    from simulator.paper.figure2 import draw

    return _saved(draw(chosen.p_last, chosen.alpha), chosen.out)


def _figure3(chosen: argparse.Namespace) -> int:
    from simulator.paper.figure3 import draw, over_alphas
    from simulator.paper.table1 import Plan, markdown

    arms = ["bce", *(arm for arm in _named("--arms", chosen.arms, ARMS) if arm != "bce")]
    models = _named("--models", chosen.models, MODELS)
    plan = Plan(chosen.dataset, chosen.data, chosen.p_last, dict.fromkeys(models, arms), chosen.seeds, None, 1)

    def make() -> str:
        rows = over_alphas(plan, chosen.alphas, _out(chosen), chosen.workers, quiet=chosen.quiet)
        _saved(draw(rows, plan.data_set), chosen.picture)
        return markdown(plan.data_set, rows)

    return _unless_stopped(make)


def _out(chosen: argparse.Namespace) -> Path:
    out: Path | None = chosen.out
    return out or Path("runs") / f"paper-{chosen.dataset}"


def _unless_stopped(make: Callable[[], str]) -> int:
    from simulator.studies.engines import Interrupted

    try:
        print(make())
    except Interrupted:
        tell("stopped; the same command goes on")
        return INTERRUPTED
    return OK


def _saved(figure: Figure, path: Path) -> int:
    from simulator.studies.picture_file import save

    save(figure, path)
    print(path)
    return OK


def _picture(text: str) -> Path:
    from simulator.studies.picture_file import FORMATS

    path = Path(text)
    if path.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"got {path}, must end in {' or '.join(FORMATS)}")
    return path


def _named(flag: str, text: str, known: Iterable[str]) -> list[str]:
    """The names in a list, in the order of those that there are. Raises ConfigError."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise ConfigError(f"{flag}: got {name!r}, must be of {', '.join(known)}")
    return [name for name in known if name in names]


def _alphas(text: str) -> list[float]:
    return sorted({_inner(one) for one in text.split(",")})


def _unit(text: str) -> float:
    return _number_in(text, lambda value: 0 <= value <= 1, "in [0, 1]")


def _inner(text: str) -> float:
    return _number_in(text, lambda value: 0 < value < 1, "in (0, 1)")


def _number_in(text: str, holds: Callable[[float], bool], rule: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, must be a number {rule}") from None
    if not holds(value):
        raise argparse.ArgumentTypeError(f"got {text}, must be {rule}")
    return value
