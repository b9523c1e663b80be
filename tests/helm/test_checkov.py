"""A second opinion: checkov over the examples. Each check that is not followed has its reason."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.helm.chart import EXAMPLES, example, template

NOT_FOLLOWED = {
    "CKV_K8S_8": "Prefect's services, jobs and the test listen nowhere",
    "CKV_K8S_9": "the same",
    "CKV_K8S_11": "a limit of the processor throttles; the limit of memory is set",
    "CKV_K8S_15": "an image has a version or a digest, which do not change",
    "CKV_K8S_35": "Prefect's server reads its secrets from variables alone",
    "CKV_K8S_43": "the digest is a value, which whoever releases an image knows",
}


@pytest.mark.more
@pytest.mark.timeout(600)
def test_checkov_finds_only_what_has_a_reason(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    lock = Path(__file__).with_name("checkov.lock")
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    subprocess.run([python, "-m", "pip", "install", *options, "-r", lock], check=True)
    files = []
    for path in EXAMPLES:
        file = tmp_path / path.name
        file.write_text(template(example(path.stem)))
        files += ["--file", str(file)]
    checkov = [str(python.with_name("checkov")), "--framework", "kubernetes", "--output", "json"]
    done = subprocess.run([*checkov, "--compact", *files], capture_output=True, check=False)
    found = json.loads(done.stdout)["results"]
    assert len(found["passed_checks"]) > 1000, sys.version
    failed = {each["check_id"]: each["check_name"] for each in found["failed_checks"]}
    assert set(failed) <= set(NOT_FOLLOWED), failed
