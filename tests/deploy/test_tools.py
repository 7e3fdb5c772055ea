"""What cfn-lint and checkov say of the template."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from template import PATH, load


def test_cfn_lint_finds_nothing():
    linted = subprocess.run(
        [pathlib.Path(sys.executable).with_name("cfn-lint"), "--non-zero-exit-code", "informational", PATH],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stderr


def test_cfn_lint_is_told_to_look_away_in_one_place_only():
    ignored = {
        name: resource["Metadata"]["cfn-lint"]["config"]["ignore_checks"]
        for name, resource in load()["Resources"].items()
        if "cfn-lint" in resource.get("Metadata", {})
    }
    assert ignored == {"JobEnvironment": ["W1030"]}


def checkov():
    """The program, which has a Python environment of its own because its pins fit nobody else's."""
    program = os.environ.get("TWO_BUCKETS_CHECKOV") or shutil.which("checkov")
    if not program:
        pytest.skip("checkov is not here: TWO_BUCKETS_CHECKOV names it")
    return program


def skips():
    for name, resource in load()["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            yield name, skip["id"], skip["comment"]


def test_every_skip_is_explained():
    for name, check, comment in skips():
        assert re.fullmatch(r"[A-Z].{30,}\.", comment), f"{name} {check}: {comment}"


def test_checkov_fails_only_where_a_skip_says_why(tmp_path):
    """Run twice in one: as it is nothing fails; without the skips exactly what they name does, so that none is stale."""
    program = checkov()
    whole, without = tmp_path / PATH.name, tmp_path / "without-skips.yaml"
    # Text, not parsed data: checkov reads the short forms. It decides conditions by the defaults and looks at nothing that
    # is not made, so all is switched on.
    lines = PATH.read_text().replace('AllowedValues: ["on", "off"]\n    Default: "off"', 'AllowedValues: ["on", "off"]\n    Default: "on"').splitlines(keepends=True)
    whole.write_text("".join(lines))
    without.write_text("".join(line for line in lines if not re.match(r"\s+- \{id: CKV_", line)).replace("        skip:\n", "        skip: []\n"))
    assert yaml.compose(without.read_text())
    ran = subprocess.run(
        [program, "--framework", "cloudformation", "--skip-download", "--compact", "--quiet", "-o", "json", "-f", str(whole), "-f", str(without)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    report = json.loads(ran.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 400
    failed = {}
    for check in report["results"]["failed_checks"]:
        name = check["resource"].split(".")[-1]
        failed.setdefault(os.path.basename(check["file_path"]), set()).add((name, check["check_id"]))
    assert failed.get(PATH.name, set()) == set()
    skipped = {(name, check) for name, check, _ in skips()}
    assert sorted(skipped - failed[without.name]) == [], "these skips are not needed"
    assert sorted(failed[without.name] - skipped) == []
