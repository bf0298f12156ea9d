"""Write the page that leadership signs, and record who has signed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from worker.commands._options import now_ms, read_lifecycle, shown


@click.command(
    epilog="""\b
Examples:
  lifecycle document 10ex --out 10ex.html
  lifecycle document ./own.yaml --out own.md
  lifecycle document ./own.yaml --sign "Ada Byron" --role "Head of Sales"
  lifecycle run --lifecycle ./own.yaml --require-signed --broker kafka://localhost:9092"""
)
@click.argument("lifecycle", metavar="L")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="An .html page to print, or Markdown (.md). Default: Markdown, on standard output.",
)  # fmt: skip
@click.option("--sign", "name", metavar="NAME", help="Record that NAME signs the definition as it is now.")
@click.option("--role", help="As whom: one of those that the definition lists under `sign_off`.")
def command(lifecycle: str, out: Path | None, name: str | None, role: str | None) -> None:
    """Write the lifecycle L (a shipped one's name, or a path) as the page that leadership reads and signs.

    It is made from the definition alone: stages, owners, criteria, promises, scoring, what is assumed, the picture
    and a table to sign. A signature is kept in the definition's file, with its fingerprint.
    """
    from worker.document import SigningError, as_html, as_markdown, document, sign
    from worker.shipped import lifecycle_names, lifecycle_path

    if (name is None) != (role is None):
        raise click.UsageError("--sign NAME and --role ROLE go together: who signs, and as whom")
    if name is not None and role is not None:
        if lifecycle in lifecycle_names():
            raise click.UsageError(
                f"{lifecycle} is a shipped lifecycle: sign one of your own, `lifecycle copy {lifecycle} own.yaml`"
            )
        day = dt.datetime.fromtimestamp(now_ms() / 1000, dt.UTC).date().isoformat()
        try:
            standing = sign(lifecycle_path(lifecycle), name, role, day)
        except SigningError as error:
            raise click.UsageError(str(error)) from None
        click.echo(f"{name} signed {shown(lifecycle_path(lifecycle))} ({standing.fingerprint}); it is {standing.says}.")
        if out is None:
            return
    page = document(read_lifecycle(lifecycle))
    if out is None:
        click.echo(as_markdown(page), nl=False)
        return
    if out.suffix not in (".html", ".htm", ".md"):
        raise click.UsageError(f"{out}: a page is an .html or an .md file")
    out.write_text(as_markdown(page) if out.suffix == ".md" else as_html(page), encoding="utf-8")
    click.echo(f"Written to {out}.")
