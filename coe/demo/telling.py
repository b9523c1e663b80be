"""Tell the story: which telling it is, by whom, and on which running platform."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from coe import content
from coe.access.token_text import is_token
from coe.bootstrap import issue_operator_token
from coe.demo.layout import write_private
from coe.demo.personas import PERSONAS, persona_token
from coe.demo.story import LOCAL_FLOWS, Story
from coe.errors import CoeError
from coe.governance.tokens import TokenRequest
from coe.settings import Settings

ENGINE_PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Telling:
    """A telling of the story to the platform of these settings.

    Args:
        data: The demo's folder.
        settings: The settings of its API.
        number: The number of the telling (`number_of_telling`).
        echo: Prints a line for people.
    """

    data: Path
    settings: Settings
    number: int
    echo: Callable[[str], object]

    async def run(self, stop: asyncio.Event, began: float) -> int:
        """Tell the story, unless `stop` is set first.

        Returns:
            The exit code: 0, or 1 if the story failed.
        """
        running = asyncio.create_task(self._tell())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return 0
        try:
            running.result()
        except CoeError as error:
            self.echo(f"the story stopped: {error.message} (logs are in {self.data / 'logs'})")
            return 1
        self.echo(f"story: complete after {time.monotonic() - began:.0f} s")
        return 0

    async def _tell(self) -> None:
        settings, tokens = self.settings, {each: persona_token(each) for each in PERSONAS}
        for author, _ in LOCAL_FLOWS.values():
            if author not in tokens:
                tokens[author] = await kept_token(self.data, settings, author)
        url = settings.public_url or settings.url
        root = content.root(settings.content_dir)
        story = Story(url, root, tokens, self.echo, self.number)
        await story.run(patience=ENGINE_PATIENCE)


def number_of_telling(data: Path, *, again: bool) -> int:
    """The number of the present telling; with `again` of a new one, where there was one before.

    It is kept in the folder, so that a telling that was interrupted goes on.
    """
    file = data / "telling"
    told = 1 if (data / "demo.env").exists() else 0
    if file.exists():
        told = int(file.read_text())
    number = told + 1 if again else max(told, 1)
    write_private(file, f"{number}\n")
    return number


async def kept_token(data: Path, settings: Settings, subject: str) -> str:
    """A token for a subject that is no persona; issued once, kept in a private file."""
    file = data / "tokens" / subject.replace(":", "-").replace("/", "-")
    if not file.exists() or not is_token(file.read_text().strip()):
        request = TokenRequest(f"demo of {subject}", subject, ("*",), timedelta(days=365))
        bearer, _ = await issue_operator_token(settings, request)
        write_private(file, bearer)
    return file.read_text().strip()
