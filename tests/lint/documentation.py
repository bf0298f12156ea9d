"""docs/lint.md, made from the codes and their cases, so that every example in it is true.

python -m tests.lint.documentation
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.lint.cases import BREAKS, HERE, SOUND, broken
from worker.lint import Finding, lint
from worker.lint.codes import CODES, Code
from worker.lint.explorer import SEEK_STEPS_MAX, STEPS_MAX
from worker.lint.formula import STEPS_MAX as QUESTION_STEPS_MAX
from worker.lint.reader_codes import READER

PAGE: Final = Path(__file__).parents[2] / "docs" / "lint.md"
WIDTH_MAX: Final = 140

HEAD: Final = f"""# Lint: the faults of a definition

```
lifecycle lint                      # all shipped definitions
lifecycle lint own.yaml 10ex        # files and names
lifecycle lint own.yaml --json      # a JSON object for each finding
lifecycle lint own.yaml --strict    # warnings fail too
```

A finding is one line on stderr, `file:line:column: code: what is wrong; what to do [severity]`; where it says what can
happen, the events that show it follow on the next. What is in order is passed over in silence. With `--json` each
finding is an object on stdout: `file`, `line`, `column`, `code`, `severity`, `message`, and where there is one its
`witness` (`events` as a scenario file has them, `until`, and `shows`, what comes of them).

| severity | means | exit status |
|-|-|-|
| error | it can't be meant | 1 |
| warning | somebody should look at it | 0, with `--strict` 1 |
| note | what is left to decide, or good to know | 0 |

A warning about what the definition marks as `assumed: true` is a note: nobody has decided it yet.

In pre-commit, of this repository; `files` says which are definitions and scenarios:

```yaml
    hooks:
      - id: lifecycle-lint
        files: ^lifecycles/.*\\.yaml$
```

## In an editor

`schemas/lifecycle.schema.json` and `schemas/scenarios.schema.json` are JSON Schemas of the two kinds of file: an editor
that knows YAML schemas completes keys by them, shows what each means and marks faults of form while one writes. As the
first line of a file:

```yaml
# yaml-language-server: $schema=PATH/schemas/lifecycle.schema.json
```

## How it reasons

Two searches answer what a definition would make of contacts. One goes through event sequences with the fold that also
runs live: from each state it tries, for every type of event, the values at which a guard changes (each literal, one
more and one less, both truth values, nothing at all), every person's placing, and time passing; it goes on from states
that answer some question of the definition as none before did in their stage. What it shows can happen, and the
witness of a finding is folded once more by the engine itself and made as short as still shows it. So a finding with a
witness is never a false alarm.

The other proves what can't happen: guards are formulas over their terms, each of which may have any value that it could
have for some contact, and where no values make a formula hold, no contact can. `never-fires`, `shadowed`,
`unreachable-stage` and their like are told only where that is proved.

Both searches are bounded in steps, not in time, so that everyone gets the same verdict: {STEPS_MAX:,} events tried,
{SEEK_STEPS_MAX:,} more for a transition that was not come upon, {QUESTION_STEPS_MAX:,} steps for one proof. What is
left between them is told as `undecided`. What one event can do (`order-decides`, `skip`, `loose`, `bounce`) is told
where the first search came upon it: that none of it is told is no proof that there is none.
"""


def render() -> str:
    """The page."""
    return HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    for severity, title in (("error", "Errors"), ("warning", "Warnings"), ("note", "Notes")):
        yield f"\n## {title}\n"
        for code, about in CODES.items():
            if about.severity == severity and code not in READER:
                shown = (HERE / f"{code}.yaml").read_text()
                yield _section(code, about, shown, (HERE / f"{code}.twin.yaml").read_text())
    yield "\n## A definition that can't be read\n\nThese are errors, and nothing else is told before they are mended.\n"
    for code, about in READER.items():
        if code in BREAKS:
            yield _section(code, about, broken(code), SOUND.read_text())
        else:
            yield f"\n### {code}\n\n{about.means} {about.remedy}\n"


def _section(code: str, about: Code, shown: str, twin: str) -> str:
    """What the code means, the lines that make the difference (`+` would be right), and what is said."""
    found = next(finding for finding in lint(shown, "own.yaml") if finding.code == code)
    lines = [f"\n### {code}\n", f"{about.means} {about.remedy}\n", "```diff", *_difference(shown, twin), "```", "```"]
    return "\n".join([*lines, *_said(found), "```"]) + "\n"


def _said(finding: Finding) -> Iterator[str]:
    yield str(finding)
    if finding.witness is not None:
        yield f"    {finding.witness}"


def _difference(shown: str, twin: str) -> Iterator[str]:
    for line in difflib.unified_diff(shown.splitlines(), twin.splitlines(), n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line if len(line) <= WIDTH_MAX else line[: WIDTH_MAX - 1] + "…"


if __name__ == "__main__":
    PAGE.write_text(render())
