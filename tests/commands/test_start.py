"""What a verb loads before it does anything: no more than it needs, so that it answers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.explain.test_explain import Kept

PROGRAM = """
import atexit, json, sys
atexit.register(lambda: sys.stderr.write("\\nLOADED " + json.dumps(sorted(sys.modules))))
from worker.commands import main
main()
"""


def loaded(*arguments: str) -> set[str]:
    """The modules that are there when the verb is done."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIFECYCLE_")}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60, env=environment
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stderr.rpartition("LOADED ")[2]))


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["explain", "--help"], ["replay", "--help"]])
def test_help_and_the_list_read_no_definition(arguments: list[str]) -> None:
    assert not {"pydantic", "ruamel.yaml", "statemachine", "worker.definition.model"} & loaded(*arguments)


def test_an_explanation_from_a_workers_state_loads_no_replay_and_no_settings(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    found = loaded("explain", "ada", "-l", "10ex", "--state-dir", str(kept.folder), "--at", "2026-03-06")
    assert "worker.explain" in found
    assert not {"worker.replay", "worker.events", "pydantic_settings", "kafka"} & found
