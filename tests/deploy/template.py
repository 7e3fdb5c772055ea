"""The template as plain data, with the intrinsic functions in their long form, and what tests ask of it."""

import copy
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATH = ROOT / "deploy" / "two-buckets.yaml"
README = ROOT / "deploy" / "README.md"
STACK_POLICY = ROOT / "deploy" / "stack-policy.json"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags. Duplicate keys, which YAML parsers drop silently, are errors."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"line {node.start_mark.line + 1}: {twice} is there twice")
        return super().construct_mapping(node, deep)


def _intrinsic(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def parse(text):
    return yaml.load(text, _Loader)  # a SafeLoader all the same


def load():
    return parse(PATH.read_text())


def of_type(template, kind):
    """The resources of a type, by name."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def listed(value):
    return value if isinstance(value, list) else [value]


def every(value):
    """Every value within a value, itself included."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from every(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every(inner)


def branches(value):
    """What a value may be once the conditions are decided; none for AWS::NoValue."""
    if isinstance(value, dict) and "Fn::If" in value:
        _, then, otherwise = value["Fn::If"]
        yield from branches(then)
        yield from branches(otherwise)
    elif value != {"Ref": "AWS::NoValue"}:
        yield value


def references(value):
    """The names that a value refers to by Ref, GetAtt and Sub."""
    for inner in every(value):
        if not isinstance(inner, dict):
            continue
        if "Ref" in inner:
            yield inner["Ref"]
        if "Fn::GetAtt" in inner:
            yield inner["Fn::GetAtt"][0]
        if "Fn::Sub" in inner:
            text = inner["Fn::Sub"]
            text = text if isinstance(text, str) else text[0]
            for name in re.findall(r"\$\{([^!}][^}]*)\}", text):
                yield name.split(".")[0]


def dependencies(template):
    """For each resource those that must be made before it."""
    resources = template["Resources"]
    return {
        name: {to for to in references(resource.get("Properties", {})) if to in resources}
        | set(listed(resource.get("DependsOn", [])))
        for name, resource in resources.items()
    }


def statements(template):
    """Every statement of every policy: (resource, what kind of policy, statement)."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for field in ("PolicyDocument", "AssumeRolePolicyDocument"):
            for statement in properties.get(field, {}).get("Statement", []):
                yield name, field, statement
        for policy in properties.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, "Policies", statement


def name_of(value):
    """A short name of what a policy's resource or role is: `StagingBucket`, `StagingBucket/*`, `*`."""
    (value,) = list(branches(value))[:1] or [None]
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return value["Ref"]
    if "Fn::GetAtt" in value:
        return value["Fn::GetAtt"][0]
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}.]+)(\.[^}]+)?\}", r"\1", value["Fn::Sub"])
    raise ValueError(value)


def granted(template):
    """What each role may do: {role: {(action, resource)}}."""
    may = {}
    for policy in of_type(template, "AWS::IAM::Policy").values():
        properties = policy["Properties"]
        for role in properties["Roles"]:
            for role in branches(role):
                for statement in properties["PolicyDocument"]["Statement"]:
                    if statement["Effect"] != "Allow":
                        continue
                    for action in listed(statement["Action"]):
                        for resource in listed(statement["Resource"]):
                            may.setdefault(role["Ref"], set()).add((action, name_of(resource)))
    return may


def environment(resource):
    """The variables a function or job definition sets, by name."""
    properties = resource["Properties"]
    if "Environment" in properties:
        return properties["Environment"]["Variables"]
    found = {}
    for entry in properties["ContainerProperties"]["Environment"]:
        for entry in branches(entry):
            found[entry["Name"]] = entry["Value"]
    # Fargate says it too, as it is documented; the rest of AWS's own is not ours to list.
    found.pop("AWS_REGION", None)
    return found


def without(template, kinds):
    """A copy without resources of these types. What refers to one of them gets its name instead; outputs and
    conditions on them go."""
    gone = {name for name, resource in template["Resources"].items() if resource["Type"] in kinds}

    def replaced(value):
        if isinstance(value, list):
            return [replaced(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if value.get("Ref") in gone:
            return value["Ref"]
        if "Fn::GetAtt" in value and value["Fn::GetAtt"][0] in gone:
            return value["Fn::GetAtt"][0]
        if isinstance(value.get("Fn::Sub"), str):
            pattern = r"\$\{(" + "|".join(sorted(gone)) + r")(\.[^}]+)?\}"
            return {"Fn::Sub": re.sub(pattern, r"\1", value["Fn::Sub"]) if gone else value["Fn::Sub"]}
        return {key: replaced(inner) for key, inner in value.items()}

    left = copy.deepcopy(template)
    left["Resources"] = {
        name: replaced(resource) for name, resource in left["Resources"].items() if name not in gone
    }
    left["Outputs"] = {
        name: output
        for name, output in left["Outputs"].items()
        if not gone & set(references(output["Value"]))
    }
    return left


def decided(template, parameters):
    """A copy as CloudFormation sees it with these parameters: every condition decided, what is not made left out."""
    given = {name: declared.get("Default") for name, declared in template["Parameters"].items()}
    given |= parameters

    def text(value):
        if isinstance(value, dict) and "Ref" in value:
            value = given[value["Ref"]]
        return str(value)

    def holds(condition):
        ((function, asked),) = condition.items()
        match function:
            case "Condition":
                return holds(template["Conditions"][asked])
            case "Fn::Equals":
                return text(asked[0]) == text(asked[1])
            case "Fn::Not":
                return not holds(asked[0])
            case "Fn::And":
                return all(map(holds, asked))
            case "Fn::Or":
                return any(map(holds, asked))
        raise ValueError(function)

    nothing = object()

    def resolved(value):
        if isinstance(value, list):
            return [inner for inner in map(resolved, value) if inner is not nothing]
        if not isinstance(value, dict):
            return value
        if value == {"Ref": "AWS::NoValue"}:
            return nothing
        if "Fn::If" in value:
            name, then, otherwise = value["Fn::If"]
            return resolved(then if holds({"Condition": name}) else otherwise)
        inner = {key: resolved(inner) for key, inner in value.items()}
        return {key: inner for key, inner in inner.items() if inner is not nothing}

    made = copy.deepcopy(template)
    for section in ("Resources", "Outputs"):
        made[section] = {
            name: resolved({key: inner for key, inner in entry.items() if key != "Condition"})
            for name, entry in template[section].items()
            if "Condition" not in entry or holds({"Condition": entry["Condition"]})
        }
    return made
