"""A chart drawn: as SVG here, and the script that draws it again in a browser."""

from __future__ import annotations

import importlib
from typing import Any

from worker.charts.theme import VEGA, Rows, Spec


class ChartError(Exception):
    """Charts can't be drawn: what is missing, and what to do about it, in one line."""


def library() -> Any:
    """The library that draws. It is loaded by those who draw, and by nobody else.

    Raises: ChartError where it isn't there.
    """
    try:
        return importlib.import_module("vl_convert")
    except ImportError:
        raise ChartError("a page with charts needs vl-convert: pip install 'lifecycle-worker[report]'") from None


def compiled(spec: Spec) -> Spec:
    """The specification as Vega has it: what is drawn here and what the script draws are then one."""
    if spec["$schema"] == VEGA:
        return spec
    found: Spec = library().vegalite_to_vega(spec)
    return found


def draw(spec: Spec, rows: Rows) -> str:
    """A compiled specification with these rows, as SVG, whose colours are those of the page it is put in."""
    data = [{**one, "values": rows} if one["name"] == "rows" else one for one in spec["data"]]
    drawn: str = library().vega_to_svg({**spec, "data": data}, allowed_base_urls=[])
    return drawn


def runtime() -> str:
    """The script that draws specifications in a browser, as `vegaEmbed`, whole: it loads nothing."""
    script: str = library().javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # Its names are its own: they would be those of all scripts in the page.
    return f"(() => {{{script}}})();".replace("</script", "<\\/script").replace("<!--", "<\\!--")
