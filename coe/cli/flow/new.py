"""`coe flow new`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from coe.cli.api_client import connect, server_options
from coe.cli.form import read_values, values_options
from coe.cli.grammar import example, verb
from coe.cli.input_files import texts_of
from coe.cli.new_files import ask_for, parts_of, write_new
from coe.cli.output import Result, has_errors, printed

_PREVIEW: Final = """
query New($input: InstantiateTemplateInput!, $ref: String!, $version: String) {
  previewTemplate(input: $input) {
    definition problems { code severity message path line column help }
  }
  template(ref: $ref) { version(ref: $version) { tests { text } } }
}
"""
_CLASSES: Final = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "PERSONAL"]


@verb()
@click.argument("flow", required=False)
@click.option("--template", help="A template: a ref of the catalog, or a folder.")
@click.option("--local", is_flag=True, help="A local flow: a manifest, and its code in Python.")
@click.option("--title", help="The flow's title.")
@click.option("--process-owner", help="Who is responsible for the process.")
@click.option(
    "--data-class",
    type=click.Choice(_CLASSES, case_sensitive=False),
    help="How sensitive its data is; by default INTERNAL.",
)
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write; by default one of the flow's name.",
)
@click.option(
    "--flows-dir",
    envvar="COE_FLOWS_DIR",
    show_envvar=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder in which workers look for entrypoints; by default that with catalog/teams.",
)
@values_options("parameters", "the template's parameters")
@server_options
@example(
    "coe flow new sales/refund",
    "coe flow new warehouse/count-stock --local --process-owner warehouse-developer",
    "coe flow new sales/buy --template coe/purchase-approval --process-owner sales-owner",
)
@printed()
def new(
    flow: str | None,
    template: str | None,
    local: bool,  # noqa: FBT001  # click passes it by keyword
    title: str | None,
    process_owner: str | None,
    data_class: str | None,
    to: Path | None,
    flows_dir: Path | None,
    file: str | None,
    pairs: tuple[str, ...],
    url: str | None,
    token: str | None,
    profile: str | None,
) -> Result:
    """Write the first files of FLOW (namespace/name): its definition and its tests.

    They come from a template, or are a small process that passes its check and its tests. What is
    not given is asked on a terminal. Each definition starts with the line by which editors
    complete it.
    """
    if template and local:
        raise click.UsageError("a template gives a central flow: leave --local out")
    ref = flow or ask_for("Flow (namespace/name)", "FLOW")
    namespace, name = parts_of(ref)
    folder = to or Path(name)
    owner = process_owner or ask_for("Process owner", "--process-owner")
    words = title or name.replace("-", " ").capitalize()
    problems: list[Any] = []
    if template:
        given = {
            "namespace": namespace,
            "name": name,
            "processOwner": owner,
            "title": title,
            "template": template,
        }
        server = (url, token, profile)
        files, problems = _from_template(given, server, file=file, pairs=pairs)
    else:
        from coe.cli.flow.skeleton import NewFlow, central_files, local_files  # noqa: PLC0415  # only here

        about = NewFlow(namespace, name, words, owner, data_class or "INTERNAL")
        files = local_files(about, _below(flows_dir, folder)) if local else central_files(about)
    written = [] if has_errors(problems) else write_new(folder, files, url)
    next_step = f"next: coe flow check {folder}" + ("" if local else f" && coe flow test {folder}")
    return Result(
        {"folder": str(folder), "files": written, "problems": problems},
        [f"written: {each}" for each in written],
        [next_step] if written else [],
        problems=problems,
        code=0 if written else 1,
    )


def _from_template(
    given: dict[str, Any],
    server: tuple[str | None, str | None, str | None],
    *,
    file: str | None,
    pairs: tuple[str, ...],
) -> tuple[dict[str, str], list[Any]]:
    from coe.cli.flow.skeleton import first_tests  # noqa: PLC0415  # only here

    folder = Path(given["template"])
    if folder.is_dir():
        definition, tests, problems = _from_folder(folder, given, file=file, pairs=pairs)
    else:
        from coe.cli.template.instantiate import instantiation  # noqa: PLC0415  # only here

        target = {
            "namespace": given["namespace"],
            "name": given["name"],
            "process_owner": given["processOwner"],
            "title": given["title"],
        }
        with connect(*server) as api:
            asked = instantiation(api, given["template"], target, file=file, pairs=pairs)
            ref, _, version = given["template"].partition("@")
            about = {"input": asked, "ref": ref, "version": version or None}
            answer = api.call(_PREVIEW, about)
        preview = answer["previewTemplate"]
        definition, problems = preview["definition"], preview["problems"]
        kept = ((answer["template"] or {}).get("version") or {}).get("tests") or {}
        tests = kept.get("text") or first_tests(_first_example(definition))
    return {"flow.yaml": definition, "tests.yaml": tests}, problems


def _from_folder(
    folder: Path, given: dict[str, Any], *, file: str | None, pairs: tuple[str, ...]
) -> tuple[str, str, list[Any]]:
    from coe.cli.flow.skeleton import first_tests  # noqa: PLC0415  # only here
    from coe.cli.output import problem_fields  # noqa: PLC0415  # the same
    from coe.cli.template.render import render_folder, schema_of  # noqa: PLC0415  # YAML is slow to import

    values = read_values(
        schema_of(folder), file=file, pairs=pairs, asking=f"Parameters of {folder}"
    )
    definition, found = render_folder(
        folder,
        namespace=given["namespace"],
        name=given["name"],
        parameters=values,
        title=given["title"],
        process_owner=given["processOwner"],
    )
    tests = texts_of(folder).get("tests.yaml")
    text = definition or ""
    return text, tests or first_tests(_first_example(text)), [problem_fields(one) for one in found]


def _first_example(definition: str) -> Any:
    from coe.language.load import load  # noqa: PLC0415  # YAML is slow to import

    loaded = load(definition)
    data: Any = loaded.source.data if loaded.source is not None else {}
    for key in ("input", "schema", "document", "examples"):
        data = data.get(key) if isinstance(data, dict) else None
    return data[0] if isinstance(data, list) and data else {}


def _below(flows_dir: Path | None, folder: Path) -> str:
    """The folder as an entrypoint names it: relative to where workers look for entrypoints."""
    from coe.language.names.folders import root_above  # noqa: PLC0415  # only here

    root = flows_dir or root_above(folder)
    if root is None or not folder.resolve().is_relative_to(root.resolve()):
        return ""
    below = folder.resolve().relative_to(root.resolve()).as_posix()
    return "" if below == "." else f"{below}/"
