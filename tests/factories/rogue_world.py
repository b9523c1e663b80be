"""The application and two issuers of which an attacker rules one or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.factories.oidc import SITE, Browser, write_issuers
from tests.factories.oidc_fixtures import Site
from tests.factories.rogue_issuer import RogueIssuer, asked, reach

ACME, PARTNER = "https://login.acme.example", "https://login.partner.example"
ANNA = {"sub": "u-anna", "preferred_username": "anna", "name": "Anna"}
PAUL = {"sub": "u-paul", "preferred_username": "paul", "name": "Paul"}


@dataclass
class World:
    """The application and two issuers, of which the attacker rules one or both."""

    site: Site
    acme: RogueIssuer
    partner: RogueIssuer

    def browser(self, base: str = SITE) -> Browser:
        return Browser(self.site.app, base=base)

    def configure(self, acme: dict[str, Any], partner: dict[str, Any] | None = None) -> None:
        entries = {"acme": self.acme.entry(**acme)}
        if partner is not None:
            entries["partner"] = self.partner.entry(**partner)
        write_issuers(self.site.folder, **entries)

    async def begin(self, browser: Browser, via: str = "acme", query: str = "") -> str:
        return await browser.begin(f"/auth/{via}/login{query}")

    async def finish(
        self, browser: Browser, url: str, token: str, *, via: str = "acme", **answer: str
    ) -> httpx.Response:
        """Come back from an issuer whose token endpoint gives this ID token."""
        issuer = self.acme if via == "acme" else self.partner
        issuer.id_token = token
        query = {"code": "c", "state": asked(url, "state"), "iss": issuer.url} | answer
        return await browser.come_back(f"/auth/{via}/callback?{urlencode(query)}")

    async def sign_in(
        self, browser: Browser, via: str = "acme", query: str = "", **claims: Any
    ) -> httpx.Response:
        """The whole way, by an ID token that is right but for these claims."""
        issuer = self.acme if via == "acme" else self.partner
        url = await self.begin(browser, via, query)
        token = issuer.sign(issuer.claims(asked(url, "nonce"), **claims))
        return await self.finish(browser, url, token, via=via)


def open_world(site: Site) -> World:
    """A world with one issuer in its file."""
    made = World(site, RogueIssuer(ACME, ANNA), RogueIssuer(PARTNER, PAUL))
    made.configure({})
    site.services.sign_ins.discovery._client = reach(made.acme, made.partner)
    return made


async def assert_nobody(world: World, response: httpx.Response) -> None:
    """Nobody was signed in, nothing was made, and the log has the refusal."""
    assert response.status_code == 403, response.text
    assert await world.site.count("sessions") == 0
    assert await world.site.count("people") == 0
    assert await world.site.events("access:login:refuse") == ["service:sign-in"]
