"""The report as files: tables for other tools, as Parquet and CSV, or one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from worker.report.figures import Figures
from worker.report.shape import EXPORTED
from worker.report.standing import STORED
from worker.report.tables import Tables

WRITTEN: Final = (*STORED, *EXPORTED)


def is_page(out: Path) -> bool:
    """Whether `out` names a page, and not a folder for tables."""
    return out.suffix.lower() in (".html", ".htm")


def export(tables: Tables, found: Figures, out: Path) -> None:
    """Write the page where `out` ends in .html, else the tables and `figures.json` into the folder `out`.

    Raises: ChartError without the library that draws; OSError where it can't be written.
    """
    if is_page(out):
        from worker.report.page import page

        out.write_text(page(tables, found), encoding="utf-8")
        return
    out.mkdir(parents=True, exist_ok=True)
    for table in WRITTEN:
        tables.write(table, out)
    (out / "figures.json").write_text(json.dumps(found.document(), ensure_ascii=False, indent=1), encoding="utf-8")
