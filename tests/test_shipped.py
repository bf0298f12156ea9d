"""Lifecycles by name or path, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker import shipped
from worker.definition.reader import read
from worker.shipped import UnknownLifecycle, glance, lifecycle_names, lifecycle_path, scenarios_path


def test_a_shipped_lifecycle_is_found_by_its_name() -> None:
    assert "10ex" in lifecycle_names()
    assert lifecycle_path("10ex").name == "10ex.yaml"
    assert lifecycle_path("10ex").is_file()


def test_scenarios_are_no_lifecycles() -> None:
    assert not [name for name in lifecycle_names() if "scenarios" in name]
    assert scenarios_path(Path("a/10ex.yaml")) == Path("a/10ex.scenarios.yaml")


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("lifecycle: own\n")
    assert lifecycle_path(str(own)) == own


def test_a_misspelt_name_is_told_its_neighbour_and_all_there_are() -> None:
    with pytest.raises(UnknownLifecycle, match=r"'10xe'; did you mean '10ex'\? \(shipped: .*10ex") as caught:
        lifecycle_path("10xe")
    assert caught.value.given == "10xe"


def test_a_folder_is_no_lifecycle(tmp_path: Path) -> None:
    with pytest.raises(UnknownLifecycle):
        lifecycle_path(str(tmp_path))


def test_a_wheel_looks_beside_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheel.yaml").write_text("lifecycle: wheel\n")
    monkeypatch.setattr(shipped, "_INSTALLED", tmp_path)
    assert lifecycle_names() == ["wheel"]
    assert lifecycle_path("wheel") == tmp_path / "wheel.yaml"


@pytest.mark.parametrize("name", lifecycle_names())
def test_a_glance_sees_what_is_read(name: str) -> None:
    whole = read(lifecycle_path(name))
    assert glance(name) == (whole.title, [stage.name for stage in whole.stages.values()])
