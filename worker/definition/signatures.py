"""Who has signed a definition, and whether it is still the one that they signed.

A signature is a name with the fingerprint of what was signed; a name alone says who is to sign, a fingerprint alone
that somebody did, so neither is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.definition.model import Lifecycle, SignOff
from worker.definition.parameters import fingerprint


@dataclass(frozen=True)
class Standing:
    """How a definition stands with those who must agree to it. `changed` signed another state of it than this."""

    fingerprint: str
    signed: tuple[SignOff, ...]
    changed: tuple[SignOff, ...]
    missing: tuple[str, ...]  # roles

    @property
    def whole(self) -> bool:
        """Whether everyone who must agree has signed exactly this definition."""
        return bool(self.signed) and not self.changed and not self.missing

    @property
    def says(self) -> str:
        """The standing in a sentence."""
        if self.whole:
            return "signed by " + ", ".join(f"{one.name} ({one.role})" for one in self.signed)
        parts = []
        if self.changed:
            names = ", ".join(
                f"{one.name} ({one.role}, {one.date})" if one.date else f"{one.name} ({one.role})"
                for one in self.changed
            )
            parts.append(f"changed since it was signed by {names}")
        if self.missing:
            parts.append("not signed by " + ", ".join(self.missing))
        return "; ".join(parts) or "nobody is named who must sign it: list roles under `sign_off`"


def signed(lifecycle: Lifecycle) -> Standing:
    """Who signed the lifecycle as it is, its parameters' values included, and who has not."""
    own = fingerprint(lifecycle)
    given = [one for one in lifecycle.sign_off if one.name is not None and one.fingerprint is not None]
    return Standing(
        own,
        tuple(one for one in given if one.fingerprint == own),
        tuple(one for one in given if one.fingerprint != own),
        tuple(one.role for one in lifecycle.sign_off if one.name is None or one.fingerprint is None),
    )
