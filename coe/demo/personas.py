"""The personas of the demo, and the fixed bearer tokens by which they sign in on this machine."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final

from coe.access.actor import Actor, ActorKind

DEMO_PREFIX: Final = "demo-"
PERSONAS: Final = {
    "sales-owner": "Sofia Lind, sales process owner",
    "finance-approver": "Farid Aziz, finance approver",
    "finance-lead": "Greta Holm, finance lead",
    "warehouse-developer": "Wanda Nowak, warehouse developer",
    "warehouse-lead": "Wim Janssen, warehouse lead",
    "coe-lead": "Cora Weiss, lead of the centre of excellence",
    "coe-reviewer": "Ravi Menon, process architect",
    "auditor": "Amir Haddad, internal audit",
    "outsider": "Otto Fremd, member of no team",
}
"""The display names of the personas by their subject."""


def persona_token(persona: str) -> str:
    """The fixed token of a persona."""
    return DEMO_PREFIX + persona


class PersonaTokens:
    """Accept the personas' tokens from loopback addresses (an `Authenticator`)."""

    def authenticate(self, bearer: str, address: str) -> Actor | None:
        """The persona with this token, or None; constant in time over the personas."""
        if not is_loopback(address):
            return None
        given = bearer.encode(errors="replace")
        found = None
        for persona, name in PERSONAS.items():
            if hmac.compare_digest(persona_token(persona).encode(), given):
                found = Actor(persona, ActorKind.PERSON, name)
        return found


def is_loopback(address: str) -> bool:
    """Whether an IPv4 or IPv6 address, or an IPv4 address mapped into IPv6, is a loopback one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
