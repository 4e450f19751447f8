"""Choice: whether a shown item is clicked. Examination × attractiveness, and a share of clicks that mean nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.world.config import CascadeExamination, ChoiceConfig, NoiseConfig, PositionExamination
from simulator.world.draws import uniform

__all__ = ["Clicks", "click_probability", "draw_clicks", "position_examination"]


class Clicks(NamedTuple):
    """click: bool [R, S]. probability: float64 [R, S], of a click before any of the slate is drawn."""

    click: np.ndarray
    probability: np.ndarray


def position_examination(config: PositionExamination, slate: int) -> np.ndarray:
    """Probability to look at each position: float64 [slate]."""
    return 1.0 / (1.0 + np.arange(slate)) ** config.eta


def click_probability(
    attractiveness: np.ndarray, is_bot: np.ndarray, choice: ChoiceConfig, noise: NoiseConfig
) -> np.ndarray:
    """Marginal probability of a click at each position: float64 [R, S].

    attractiveness: float64 [R, S], of a click on an item that is looked at. is_bot: bool [R].
    """
    looking = choice.looking
    if isinstance(looking, PositionExamination):
        meant = attractiveness * position_examination(looking, attractiveness.shape[1])
    else:
        meant = np.empty_like(attractiveness)
        reached = np.ones(len(attractiveness))
        for j in range(attractiveness.shape[1]):
            meant[:, j] = reached * attractiveness[:, j]
            stays = attractiveness[:, j] * looking.go_on_after_click + (1 - attractiveness[:, j]) * looking.go_on
            reached = reached * stays
    by_people = meant + (1 - meant) * noise.accidental
    return np.where(is_bot[:, None], noise.bot_click, by_people)


def draw_clicks(
    attractiveness: np.ndarray,
    is_bot: np.ndarray,
    choice: ChoiceConfig,
    noise: NoiseConfig,
    seed: int,
    request_id: np.ndarray,
    item_id: np.ndarray,
) -> Clicks:
    """Draw the clicks on slates. Luck belongs to (request, item): an item meets the same in whichever slot and arm."""
    keys = (request_id[:, None], item_id)
    likes = uniform(seed, "choice/like", *keys) < attractiveness
    looking = choice.looking
    if isinstance(looking, CascadeExamination):
        meant = np.zeros_like(likes)
        reached = np.ones(len(likes), dtype=bool)
        stay = uniform(seed, "choice/stay", *keys)
        for j in range(likes.shape[1]):
            meant[:, j] = reached & likes[:, j]
            reached &= stay[:, j] < np.where(meant[:, j], looking.go_on_after_click, looking.go_on)
    else:
        meant = likes & (uniform(seed, "choice/look", *keys) < position_examination(looking, likes.shape[1]))
    click = meant
    if noise.accidental:
        click = click | (uniform(seed, "choice/accident", *keys) < noise.accidental)
    if is_bot.any():
        bots = np.flatnonzero(is_bot)
        click[bots] = uniform(seed, "choice/bot", request_id[bots, None], item_id[bots]) < noise.bot_click
    return Clicks(click, click_probability(attractiveness, is_bot, choice, noise))
