"""The page that leadership signs, made from the definition alone, and who has signed it."""

from worker.definition.signatures import Standing, signed
from worker.document.content import Document, document
from worker.document.html import as_html
from worker.document.markdown import as_markdown
from worker.document.signing import SigningError, sign

__all__ = ["Document", "SigningError", "Standing", "as_html", "as_markdown", "document", "sign", "signed"]
