"""deploy/README.md says what the template does, and what the code beside it says."""

import re

from rules import LEDGER, METRICS, MOVER
from tables import rewritten
from template import README, ROOT, environment, load, of_type

TEMPLATE = load()


def test_its_tables_are_those_of_the_template():
    assert rewritten(README.read_text(), TEMPLATE) == README.read_text(), "run tests/deploy/tables.py"


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S).group(1)


def test_every_variable_that_is_set_is_in_the_contract_and_no_other():
    contract = {}
    for variable, readers in re.findall(r"^\| `(TWO_BUCKETS_\w+)` \| ([^|]+) \|", section("The contract with the functions"), re.M):
        for reader in readers.split(","):
            contract.setdefault(reader.strip(), set()).add(variable)
    made = {
        **of_type(TEMPLATE, "AWS::Lambda::Function"),
        **{"Job": definition for definition in of_type(TEMPLATE, "AWS::Batch::JobDefinition").values()},
    }
    assert contract == {name.lower(): set(environment(resource)) for name, resource in made.items()}


# Said to each job by whoever submits it, and not by the template.
# For stores that are not S3 (docs/aws.md); on AWS they are left as they are.
OF_OTHER_STORES = {"TWO_BUCKETS_CONDITIONAL_COPY", "TWO_BUCKETS_SINGLE_COPY_BYTES_MAX"}
OF_SUBMIT_JOB = {"TWO_BUCKETS_JOB_KEY_HEX", "TWO_BUCKETS_JOB_VERSION"}
# The code that runs on AWS. The program's other half reads variables of the same beginning, which are none of this.
CODE = ("crates/aws/src", "functions")


def variables_read():
    """Every variable that the code on AWS names outside of its tests and comments."""
    read = set()
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*.rs")):
            if file.name == "tests.rs" or "tests" in file.relative_to(ROOT / folder).parts:
                continue
            code = file.read_text().split("#[cfg(test)]")[0]
            code = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("//"))
            read |= set(re.findall(r'"(TWO_BUCKETS_[A-Z_]+)"', code))
    return read


def test_every_variable_that_the_code_reads_is_set_and_no_other():
    made = [*of_type(TEMPLATE, "AWS::Lambda::Function").values(), *of_type(TEMPLATE, "AWS::Batch::JobDefinition").values()]
    told = {name for resource in made for name in environment(resource)}
    read = variables_read()
    assert OF_SUBMIT_JOB <= read
    assert sorted(read - OF_SUBMIT_JOB - OF_OTHER_STORES - told) == [], "read and never set"
    assert sorted(told - read) == [], "set and never read"


def test_every_metric_of_ours_is_in_the_contract():
    said = set(re.findall(r"^\| `TwoBuckets` / `(\w+)` \|", section("The contract with the functions"), re.M))
    assert said == {metric for namespace, metric in METRICS if namespace == "TwoBuckets"}


def test_every_output_is_explained():
    said = set(re.findall(r"`(\w+)`", section("Outputs")))
    assert set(TEMPLATE["Outputs"]) <= said


def source(path):
    return (ROOT / "crates" / "aws" / "src" / path).read_text()


def test_the_table_is_the_one_the_ledger_reads():
    named = dict(re.findall(r'(partition_key|sort_key|time_to_live): "(\w+)"', source("ledger/schema.rs")))
    ledger = TEMPLATE["Resources"]["Ledger"]["Properties"]
    keys = {key["KeyType"]: key["AttributeName"] for key in ledger["KeySchema"]}
    assert named == {
        "partition_key": keys["HASH"],
        "sort_key": keys["RANGE"],
        "time_to_live": ledger["TimeToLiveSpecification"]["AttributeName"],
    }


def test_the_ledger_may_what_it_says_it_needs():
    asked = re.search(r"# Permissions\n//!\n((?://! .+\n)+)", source("ledger/mod.rs")).group(1)
    asked = {f"dynamodb:{action.removeprefix('dynamodb:')}" for action in re.findall(r"`((?:dynamodb:)?[A-Z]\w+|dynamodb:\w+)`", asked)}
    assert asked == {action for action, _ in LEDGER}


def test_the_store_may_what_it_says_it_needs():
    asked = set(re.findall(r"s3:[A-Z]\w+", "\n".join(line for line in source("store/mod.rs").splitlines() if line.startswith("/// |"))))
    # The mover never asks for open multiparts: only the sweep does.
    given = {action for action, _ in MOVER if action.startswith("s3:")} | {"s3:ListBucketMultipartUploads"}
    assert asked == given
