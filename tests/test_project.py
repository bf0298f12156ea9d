"""The project installs as it says: locks, wheel and make's targets agree with pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def names(requirements: list[str]) -> set[str]:
    return {
        re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-").replace(".", "-")
        for requirement in requirements
    }


def locked(name: str) -> set[str]:
    pins = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    return names(pins)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pinned_release_has_its_hashes(lock: Path) -> None:
    pins = re.findall(
        r"^[a-z0-9._-]+==\S+ \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", lock.read_text(), re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[^ #\n]", lock.read_text(), re.MULTILINE)) > 0


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_place(lock: Path) -> None:
    """Where packages come from is the machine's business."""
    assert not re.search(r"://|--index|--find-links|--extra-index|--trusted", lock.read_text())


def test_the_locks_hold_what_the_project_asks_for() -> None:
    extras = PROJECT["optional-dependencies"]
    core = names(PROJECT["dependencies"])
    assert core <= locked("core")
    assert core | names(extras["confluent"]) | names(extras["http"]) <= locked("image")
    assert core | names([each for extra in extras.values() for each in extra]) <= locked("dev")


def test_the_locks_agree_with_each_other() -> None:
    def pins(lock: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE))

    every = pins(ROOT / "requirements" / "dev.txt")
    for lock in LOCKS:
        assert pins(lock).items() <= every.items(), f"{lock.name} differs from dev.txt: run `make lock`"


def test_the_wheel_carries_code_schemas_and_lifecycles(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {
        "worker/events.py",
        "worker/py.typed",
        "worker/lifecycles/10ex.yaml",
        "schemas/asyncapi.yaml",
        "schemas/json/lifecycle.stage.changed.v1.json",
    } <= held
    tops = {name.split("/")[0] for name in held if ".dist-info" not in name}
    assert tops == {"worker", "schemas"}, "a package named statemachine would hide the library"


def test_every_target_of_make_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    told = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert {line.split()[1] for line in told.stdout.splitlines()} == phony - {"help"} | {"help"}
    assert {"demo", "test", "lint", "format", "bench", "kill", "simulate"} <= phony
