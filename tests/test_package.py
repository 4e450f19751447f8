"""The package as it is installed, and the archive that its tests run from."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.rooms import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_an_installed_package_has_its_scenarios_and_knows_no_checkout(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    assert run("-c", "import simulator; print(simulator.__file__)").startswith(str(tmp_path / "installed"))
    listed = run("-m", "simulator", "scenarios").splitlines()
    assert [line.split()[0] for line in listed] == sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))
    assert run("-m", "simulator", "check", "quickstart").startswith("name: quickstart\n")


def test_the_wheel_is_typed_and_holds_what_is_loaded_at_run_time(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "reloop_stream/py.typed", "reloop_stream/log/broker_pom.xml", "simulator/py.typed",
        "simulator/readout/report/report.html.j2", "simulator/readout/report/page.css", "simulator/readout/report/page.js",
        "simulator/readout/report/sections/result.html.j2", "simulator/scenarios/schema.json",
    }  # fmt: skip
    assert wanted <= names and not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_the_sdist_holds_every_file_of_the_repository_that_is_not_about_it(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[1] for name in archive.getnames()}
    if not (ROOT / ".git").exists():
        pytest.skip("an unpacked archive has nothing to be compared with")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert {name for name in tracked if name} - packed == set()


def test_the_commands_have_names_of_their_own() -> None:
    scripts = {one.name: one.value for one in metadata.distribution("reloop-stream").entry_points}
    assert scripts == {"reloop-lab": "simulator.__main__:main", "reloop-stream": "reloop_stream.__main__:main"}
    for name in scripts:
        script = Path(sys.executable).parent / name
        helped = subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout
        assert helped.startswith(f"usage: {name} ")
