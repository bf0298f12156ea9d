"""`lifecycle receive`: what can't be meant is said in one line, before anything listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from worker.commands import group, receive


def lifecycle(tmp_path: Path, *arguments: str) -> Result:
    broker = f"embedded:{tmp_path / 'log.db'}"
    return CliRunner().invoke(
        group, ["receive", "--broker", broker, "--topic", "webhooks", *arguments], env={"S": "the secret"}
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--source", "a=stripe:MISSING"], "MISSING with its secret is not set"),
        (["--source", "a=stripe:S", "--source", "a=zoom:S"], "source a is given twice"),
        (["--source", "a=stripe:S", "--url", "hooks.example.com"], "expected http:// or https://"),
        (["--source", "a=stripe:S", "--http", "8080"], "expected HOST:PORT"),
    ],
)
def test_what_cannot_be_meant_is_told_in_a_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    result = lifecycle(tmp_path, *arguments)
    assert result.exit_code == 2 and says in result.stderr
    assert len(result.stderr.splitlines()) == 1 and "the secret" not in result.output
    assert not (tmp_path / "log.db").exists()


def test_a_missing_extra_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "find_spec", lambda name: None)
    result = lifecycle(tmp_path, "--source", "a=stripe:S")
    assert result.exit_code == 1
    assert result.stderr == ("Error: the receiver needs two more libraries: pip install 'lifecycle-worker[receive]'\n")
