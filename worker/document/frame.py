"""What all pages look like: one file with its style inside, in the reader's theme, fit for A4."""

from __future__ import annotations

from html import escape


def frame(title: str, body: str, *, style: str = "", wide: bool = False) -> str:
    """An HTML page that needs nothing else. `wide` pages use the room that there is."""
    width = "86rem" if wide else "62rem"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}\nbody{{max-width:{width}}}{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--card:#fff;--ink:#1b2130;--soft:#566075;--rule:#dde1e9;--area:#f4f6fa;
  --accent:#2563c9;--warn:#8a4b00;--warn-area:#fff1dc;--good:#137a4f;--bad:#b3261e}
@media screen and (prefers-color-scheme:dark){:root{--paper:#12151c;--card:#181c25;--ink:#e8ebf2;--soft:#a3acbd;
  --rule:#2c3342;--area:#1b202b;--accent:#7fb0ff;--warn:#f2bd7b;--warn-area:#3a2a14;--good:#5fd3a0;--bad:#ff8f86}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.5rem;background:var(--paper);color:var(--ink);
  font:16px/1.55 ui-sans-serif,system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;overflow-wrap:break-word}
h1{font-size:2.1rem;line-height:1.15;margin:.1rem 0 .4rem;letter-spacing:-.01em}
h2{font-size:1.35rem;margin:2.6rem 0 .5rem;line-height:1.25}
h3{line-height:1.3}
p{margin:.5rem 0}
a{color:var(--accent)}
a:focus-visible,[tabindex]:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.kicker{margin:0;color:var(--accent);font-weight:650;font-size:.9rem}
.lead{color:var(--soft);margin-top:0}
.soft{color:var(--soft)}
code{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--area);border-radius:4px;
  padding:.08em .35em;box-decoration-break:clone;-webkit-box-decoration-break:clone}
.assumed{white-space:nowrap;font-size:.75rem;font-weight:650;color:var(--warn);background:var(--warn-area);
  border-radius:99px;padding:.1rem .55rem}
ul{padding-left:1.2rem;margin:.4rem 0}
li{margin:.2rem 0}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.5rem .8rem .5rem 0;border-bottom:1px solid var(--rule)}
thead th{color:var(--soft);font-size:.8rem;border-bottom:2px solid var(--rule);white-space:nowrap}
tbody th{font-weight:600}
@page{size:A4;margin:16mm 15mm}
@media print{body{padding:0;max-width:none;font-size:10.5pt}h2{break-after:avoid}tr,li{break-inside:avoid}
  thead{display:table-header-group}a{color:inherit;text-decoration:none}.scroll{overflow:visible}
  code{border:1px solid #ddd;background:none}.assumed{border:1px solid var(--warn)}}
"""
