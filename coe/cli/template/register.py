"""`coe template register`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from coe.cli.api_client import ApiClient, with_api
from coe.cli.documents import document
from coe.cli.grammar import example, verb
from coe.cli.input_files import texts_of
from coe.cli.output import Result, printed

_REGISTER: Final = document("""
mutation Register($files: JSON!, $changelog: String) {
  registerTemplate(files: $files, changelog: $changelog) {
    template { ref }
    version { ref lifecycle digest }
    problems { ...problem }
  }
}
""")


@verb()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--changelog", help="What is new in this version.")
@example("coe template register templates/order-to-cash --changelog 'a third carrier'")
@printed()
@with_api
def register(api: ApiClient, folder: Path, changelog: str | None) -> Result:
    """Save the template in FOLDER as a draft version, with all its files.

    The same content again gives the same version.
    """
    answer = api.call(_REGISTER, {"files": texts_of(folder), "changelog": changelog})
    saved = answer["registerTemplate"]
    version = saved["version"]
    view = f"{version['ref']} {version['lifecycle']} sha256:{version['digest']}" if version else ()
    return Result(saved, view, problems=saved["problems"], code=0 if version else 1)
