"""A signature is for exactly one definition, lies in its file, and changes nothing else of it."""

from __future__ import annotations

import difflib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from worker.commands import group
from worker.definition.model import Lifecycle
from worker.definition.parameters import fingerprint
from worker.definition.reader import read
from worker.document import SigningError, as_markdown, document, sign, signed
from worker.lint import lint

BLOCK = """
# before
sign_off:
  - role: Head of Marketing  # decides the first half
  -
    # the other half
    role: "Head of Sales"
    name: Cem   # signed an earlier one
    date: 2026-01-05
    fingerprint: 0123456789abcdef0123456789abcdef
# after
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    result = CliRunner().invoke(group, ["copy", "10ex", str(path)])
    assert result.exit_code == 0, result.output
    return path


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in ("+ ", "- ")]


def test_signing_touches_the_one_line_and_keeps_the_fingerprint(own: Path) -> None:
    before, print_before = own.read_text(), fingerprint(read(own))
    standing = sign(own, "Ada Byron", "head of sales", "2026-11-22")
    after = own.read_text()
    changes = changed_lines(before, after)
    assert len(changes) == 2 and all("Head of Sales" in line for line in changes)
    assert fingerprint(read(own)) == print_before == standing.fingerprint
    assert not standing.whole and standing.missing == ("Head of Marketing",)
    assert sign(own, "Ben", "Head of Marketing", "2026-11-22").whole


def test_comments_and_layout_of_a_written_out_sign_off_stay(own: Path) -> None:
    head = own.read_text().partition("\nsign_off:")[0]
    own.write_text(head + BLOCK)
    before = own.read_text()
    assert [one.name for one in signed(read(own)).changed] == ["Cem"]
    sign(own, 'Ö "quoted" #1', "Head of Sales", "2026-11-22")
    standing = sign(own, "Ben", "Head of Marketing", "2026-11-23")
    after = own.read_text()
    assert standing.whole and {one.name for one in standing.signed} == {'Ö "quoted" #1', "Ben"}
    for comment in ("# before", "# decides the first half", "# the other half", "# signed an earlier one", "# after"):
        assert comment in after
    assert after.partition("\nsign_off:")[0] == before.partition("\nsign_off:")[0]


def test_any_change_of_meaning_ends_a_signature(own: Path) -> None:
    sign(own, "Ada", "Head of Sales", "2026-11-22")
    sign(own, "Ben", "Head of Marketing", "2026-11-22")
    text = own.read_text()
    own.write_text(text.replace("# Read it from the top", "# Read it, from the top"))
    assert signed(read(own)).whole, "a comment is no change"
    own.write_text(text.replace("{value: 50, assumed: true", "{value: 55, assumed: true", 1))
    standing = signed(read(own))
    assert not standing.whole and len(standing.changed) == 2 and "changed since" in standing.says


@pytest.mark.parametrize(
    "entry",
    [
        "{role: Head of Sales}",
        '{"role": "Head of Sales"}',
        "{role: Head of Sales, name: , date: , fingerprint: }",
        "{role: Head of Sales, name: null, date: ~, fingerprint: null}",
        "{\n      role: Head of Sales,  # one\n    }",
        "role: Head of Sales\n    name:\n    date:  # when\n    fingerprint:   ",
        "name: Cem\n    role: >-\n      Head of Sales",
        "'role': 'Head of Sales'\n    name: |\n      Cem\n    date: 2026-01-05",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_sign_off_is_filled_in_however_it_is_written(own: Path, entry: str, newline: str) -> None:
    head = own.read_text().partition("\nsign_off:")[0]
    text = f"{head}\nsign_off:\n  - {entry}\n# after\n".replace("\n", newline)
    own.write_bytes(text.encode())
    assert sign(own, "Ö b: #1", "Head of Sales", "2026-11-22").whole
    after = own.read_bytes().decode()
    assert after.startswith(head.replace("\n", newline)) and after.endswith(f"# after{newline}")
    assert after.count("\n") == after.count(newline), "its own line ends"
    assert [(one.name, one.date) for one in read(own).sign_off] == [("Ö b: #1", "2026-11-22")]


def test_two_of_one_role_sign_each_their_own_line(own: Path) -> None:
    own.write_text(own.read_text().partition("\nsign_off:")[0] + "\nsign_off: [{role: Boss}, {role: Boss}]\n")
    assert not sign(own, "Ada", "Boss", "2026-11-22").whole
    assert not sign(own, "Ada", "Boss", "2026-11-23").whole, "the same one again is no second"
    assert sign(own, "Ben", "Boss", "2026-11-23").whole
    assert [one.name for one in read(own).sign_off] == ["Ada", "Ben"]


def test_a_signature_that_stands_is_not_taken_by_another(own: Path) -> None:
    sign(own, "Ada", "Head of Sales", "2026-11-22")
    before = own.read_text()
    with pytest.raises(SigningError, match="Ada has signed it as Head of Sales"):
        sign(own, "Ben", "Head of Sales", "2026-11-23")
    assert own.read_text() == before
    own.write_text(before.replace("{value: 50, assumed: true", "{value: 55, assumed: true", 1))
    assert [one.name for one in sign(own, "Ben", "Head of Sales", "2026-11-23").signed] == ["Ben"]


@pytest.mark.parametrize("name", ["", " ", "Ada\nByron", "Ada\u2028Byron", "Ada\udcff", "Ada\x7f", "x" * 5000])
def test_what_is_no_name_signs_nothing_and_says_so(own: Path, name: str) -> None:
    before = own.read_text()
    result = CliRunner().invoke(group, ["document", str(own), "--sign", name, "--role", "Head of Sales"])
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert own.read_text() == before and not list(own.parent.glob(".*"))
    assert f".{own.name}" not in result.output, "a file that is no more helps nobody"


def test_a_link_to_a_definition_stays_one(own: Path) -> None:
    link = own.with_name("link.yaml")
    link.symlink_to(own.name)
    sign(link, "Ada", "Head of Sales", "2026-11-22")
    assert link.is_symlink() and "Ada" in own.read_text()


@pytest.mark.parametrize(
    "digest", ["0123", "0" * 33, "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdeg"]
)
def test_a_damaged_signature_is_a_fault_of_the_file_and_no_earlier_one(own: Path, digest: str) -> None:
    text = own.read_text().partition("\nsign_off:")[0]
    own.write_text(f"{text}\nsign_off:\n  - {{role: Head of Sales, name: Ada, fingerprint: '{digest}'}}\n")
    (finding,) = [finding for finding in lint(own) if finding.severity == "error"]
    assert finding.code == "bad-value" and "32 hex digits" in finding.message


def test_an_unknown_role_names_those_there_are(own: Path) -> None:
    before = own.read_text()
    with pytest.raises(SigningError, match="did you mean 'Head of Sales'"):
        sign(own, "Ada", "Head of Sale", "2026-11-22")
    assert own.read_text() == before


def test_a_shipped_lifecycle_is_not_signed_in_place() -> None:
    result = CliRunner().invoke(group, ["document", "10ex", "--sign", "Ada", "--role", "Head of Sales"])
    assert result.exit_code == 2 and "lifecycle copy" in result.output


def test_a_worker_that_requires_signatures_does_not_run_without(own: Path, tmp_path: Path) -> None:
    arguments = ["run", "-l", str(own), "--broker", f"embedded:{tmp_path / 'log.db'}", "--require-signed"]
    result = CliRunner().invoke(group, [*arguments, "--state-dir", str(tmp_path / "state")])
    assert result.exit_code == 1 and "not signed by Head of Marketing, Head of Sales" in result.output
    assert not (tmp_path / "log.db").exists()
    arguments[2] = "10ex"
    result = CliRunner().invoke(group, [*arguments, "--state-dir", str(tmp_path / "state")])
    assert "`lifecycle copy 10ex own.yaml`, then `lifecycle document own.yaml --sign" in result.output


def test_what_was_found_signed_is_what_runs(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is changed while the worker starts is not run in place of the one that was looked at."""
    for name, role in (("Ada", "Head of Sales"), ("Ben", "Head of Marketing")):
        sign(own, name, role, "2026-11-22")
    before = fingerprint(read(own))
    run: list[str] = []

    def started(*_: Any, lifecycle: Lifecycle, **__: Any) -> AbstractContextManager[Any]:
        own.write_text(own.read_text().replace("{value: 50, assumed: true", "{value: 55, assumed: true", 1))
        run.append(fingerprint(lifecycle))
        return nullcontext(SimpleNamespace(run=lambda stop: None))

    monkeypatch.setattr("worker.commands._serve.worker_of", started)
    monkeypatch.setattr("worker.commands.run._stop_on_signals", lambda *_: None)  # they stay pytest's
    arguments = ["run", "-l", str(own), "--broker", f"embedded:{tmp_path / 'log.db'}", "--require-signed"]
    result = CliRunner().invoke(group, [*arguments, "--state-dir", str(tmp_path / "state")])
    assert result.exit_code == 0 and run == [before] and not signed(read(own)).whole


@pytest.mark.parametrize("name", [None, "Ada"])
@pytest.mark.parametrize("given", [None, "own", "0" * 32])
def test_lint_and_the_page_agree_on_who_has_signed(own: Path, name: str | None, given: str | None) -> None:
    """A name without a fingerprint is no signature, nor is a fingerprint without a name."""
    digest = fingerprint(read(own)) if given == "own" else given
    entry = (
        "role: Head of Sales" + (f", name: {name}" if name else "") + (f", fingerprint: '{digest}'" if digest else "")
    )
    text = own.read_text().partition("\nsign_off:")[0] + f"\nsign_off:\n  - {{{entry}}}\n"
    standing = signed(read(text))
    codes = {finding.code for finding in lint(text)} & {"unsigned", "changed-since-signed"}
    assert standing.whole == (not codes)
    assert bool(standing.missing) == ("unsigned" in codes) == (name is None or given is None)
    assert bool(standing.changed) == ("changed-since-signed" in codes)


def test_a_page_that_nobody_must_sign_says_so(own: Path) -> None:
    text = own.read_text().partition("\nsign_off:")[0] + "\n"
    assert "Nobody is named who must sign: list the roles under `sign_off`." in as_markdown(document(read(text)))
