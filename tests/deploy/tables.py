"""The tables of deploy/README.md that are the template said in another way. `python tests/deploy/tables.py` writes them."""

import re

import yaml
from template import PATH, README, _Loader, branches, load, name_of

GENERATED = ("parameters", "permissions")


def parameters(template):
    yield "| Parameter | Default | What it is |"
    yield "|---|---|---|"
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    for name in (name for group in groups for name in group["Parameters"]):
        parameter = template["Parameters"][name]
        default = parameter.get("Default", "(must be given)")
        yield f"| `{name}` | {f'`{default}`' if default != '' and 'Default' in parameter else default or '(empty)'} | {parameter['Description']} |"


def child(node, key):
    return next(value for name, value in node.value if name.value == key)


def permissions(template):
    """A row for each action of each policy, with the comment beside it: what only the text of the template has."""
    lines = PATH.read_text().splitlines()
    yield "| Who | Action | On | For which call |"
    yield "|---|---|---|---|"
    for name, resource in child(yaml.compose(PATH.read_text(), _Loader), "Resources").value:
        parsed = template["Resources"][name.value]
        if parsed["Type"] != "AWS::IAM::Policy":
            continue
        roles = [role["Ref"] for role in parsed["Properties"]["Roles"] for role in branches(role)]
        who = ", ".join(f"`{role}`" for role in roles)
        statements = child(child(child(resource, "Properties"), "PolicyDocument"), "Statement").value
        for node, statement in zip(statements, parsed["Properties"]["PolicyDocument"]["Statement"], strict=True):
            on = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            on = ", ".join(f"`{name_of(each)}`" for each in on)
            for action in child(node, "Action").value:
                call = re.search(r" # (.*)$", lines[action.start_mark.line]).group(1)
                denied = "never " if statement["Effect"] == "Deny" else ""
                yield f"| {who} | {denied}`{action.value}` | {on} | {call} |"


def block(name):
    begin, end = f"<!-- {name}: by tests/deploy/tables.py -->", f"<!-- end of {name} -->"
    return re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.S)


def generated(template):
    return {
        name: "\n".join(rows(template)) + "\n"
        for name, rows in (("parameters", parameters), ("permissions", permissions))
    }


def rewritten(text, template):
    for name, table in generated(template).items():
        text, times = block(name).subn(lambda _, table=table: table, text)
        assert times == 1, f"README has {times} places for {name}"
    return text


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(), load()))
