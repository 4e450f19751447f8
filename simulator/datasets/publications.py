"""Data sets that others publish: where they lie, on what terms, and how one gets them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PUBLICATIONS", "Download", "Publication"]


class Download(NamedTuple):
    """A file at its publisher's, and its sha256 where one is known."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


class Publication(NamedTuple):
    """A data set, and what its publisher asks of those who use it.

    format: that a scenario names. page: the publisher's, where the terms stand. files: what to download; none where the
    publisher hands them out to people alone, and then steps: what these do. is_packed: whether the file is an archive that no
    format reads, and is unpacked.
    """

    title: str
    format: str
    publisher: str
    page: str
    licence: str
    terms: str
    files: tuple[Download, ...] = ()
    steps: str = ""
    is_packed: bool = False


_GROUPLENS = "GroupLens, University of Minnesota"
_FILES = "https://files.grouplens.org/datasets/movielens"
_MOVIELENS = "its own (README in the archive)"
_RESEARCH = "For research, with acknowledgement (Harper and Konstan 2015); no commercial use and no endorsement without permission"
_KEPT = f"{_RESEARCH}; not to be passed on."
_NFM = "https://raw.githubusercontent.com/hexiangnan/neural_factorization_machine/master/data/frappe"

# The sha256 of MovieLens are those that several others list, of 25M, 1M and 100k beside the MD5 that GroupLens publishes.
PUBLICATIONS = {
    "movielens-small": Publication(
        "MovieLens, 100,836 ratings up to 2018",
        "movielens",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/latest/",
        _MOVIELENS,
        f"{_RESEARCH}; may be passed on under the same terms.",
        (
            Download(
                f"{_FILES}/ml-latest-small.zip",
                # The release of September 2018, as TensorFlow Datasets and others list it.
                "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
            ),
        ),
    ),
    "movielens-25m": Publication(
        "MovieLens, 25 million ratings up to 2019",
        "movielens",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/25m/",
        _MOVIELENS,
        _KEPT,
        (Download(f"{_FILES}/ml-25m.zip", "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa"),),
    ),
    "movielens-1m": Publication(
        "MovieLens, 1 million ratings of 2000 to 2003",
        "movielens",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/1m/",
        _MOVIELENS,
        _KEPT,
        (Download(f"{_FILES}/ml-1m.zip", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),),
    ),
    "movielens-100k": Publication(
        "MovieLens, 100,000 ratings of 1997 and 1998",
        "movielens",
        _GROUPLENS,
        "https://grouplens.org/datasets/movielens/100k/",
        _MOVIELENS,
        _KEPT,
        (Download(f"{_FILES}/ml-100k.zip", "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"),),
    ),
    "movielens-tag": Publication(
        "MovieLens tags with sampled negatives, 2,006,859 rows",
        "movielens_tag",
        "the BARS benchmark, of data by GroupLens",
        "https://zenodo.org/record/6324454",
        "that of MovieLens, of which it is made",
        f"{_RESEARCH} of GroupLens.",
        (Download("https://zenodo.org/record/6324454/files/Movielenslatest_x1.zip"),),
        is_packed=True,
    ),
    "frappe": Publication(
        "Frappe app usage with sampled negatives, 288,609 rows",
        "frappe",
        "L. Baltrunas and others; with negatives X. He and T.-S. Chua",
        "https://github.com/hexiangnan/neural_factorization_machine/tree/master/data/frappe",
        "its own (README.txt on the page)",
        "For research, with acknowledgement (Baltrunas et al. 2015); not to be passed on, deanonymised or used commercially "
        "without permission.",
        tuple(Download(f"{_NFM}/frappe.{part}.libfm") for part in ("train", "validation", "test")),
    ),
    "kuairand": Publication(
        "KuaiRand-Pure, 1.4 million exposures of short videos in 2022",
        "kuairand",
        "Kuaishou, and the University of Science and Technology of China",
        "https://kuairand.com",
        "CC BY-SA 4.0",
        "Any use that names the source (Gao et al. 2022) and passes on what is made of it under the same licence.",
        (Download("https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz"),),
        is_packed=True,
    ),
    "open-bandit": Publication(
        "Open Bandit, 26 million exposures of ZOZOTOWN in 2019 with propensities",
        "open_bandit",
        "ZOZO Research",
        "https://research.zozo.com/data.html",
        "CC BY 4.0",
        "Any use that names the source (Saito et al. 2021).",
        (Download("https://research.zozo.com/data_release/open_bandit_dataset.zip"),),
    ),
    "criteo": Publication(
        "Criteo display advertising challenge, 45.8 million exposures of a week",
        "criteo",
        "Criteo AI Lab",
        "https://ailab.criteo.com/ressources/",
        "its own (on the page)",
        "As on the publisher's page, where they are accepted before the download.",
        steps="Open the page, choose the Kaggle Display Advertising Challenge dataset, accept its terms and unpack it: the "
        "file is train.txt (a .gz of it is read too).",
    ),
    "avazu": Publication(
        "Avazu click-through rate prediction, 40.4 million exposures of ten days in 2014",
        "avazu",
        "Avazu, by Kaggle",
        "https://www.kaggle.com/c/avazu-ctr-prediction/data",
        "the rules of the competition (on the page)",
        "As on the publisher's page, where they are accepted before the download.",
        steps="Sign in to Kaggle, accept the rules on the page and download train.gz, which is read as it is.",
    ),
    "mind": Publication(
        "MIND, impressions of Microsoft News in 2019",
        "mind",
        "Microsoft",
        "https://msnews.github.io/",
        "Microsoft Research License Terms",
        "For research, as on the publisher's page, where they are accepted before the download.",
        steps="Open the page, accept the terms, download MINDsmall_train.zip (or the large one) and unpack it: the folder with "
        "behaviors.tsv and news.tsv is read.",
    ),
    "trivago-2019": Publication(
        "trivago sessions of the RecSys Challenge 2019",
        "trivago",
        "trivago",
        "https://recsys2019data.trivago.com/",
        "its own (on the page)",
        "As on the publisher's page, where they are accepted before the download.",
        steps="Open the page, sign up, and download and unpack the archive with train.csv.",
    ),
}
