"""Calls of every operation that a boto3 client knows, with the least that each must be given."""

from datetime import UTC, datetime

# What a member of this name is given; others get something of their type.
NAMED = {"Bucket": "staging", "CopySource": "staging/somebody-elses", "MaxKeys": 1}


def _value(name, shape, given, depth=0):
    if name in given:
        return given[name]
    if shape.type_name == "structure":
        required = shape.required_members
        # A structure that requires nothing may still not be sent empty.
        names = required or list(shape.members)[:1]
        return {} if depth > 6 else {name: _value(name, shape.members[name], given, depth + 1) for name in names}
    if shape.type_name == "list":
        return [_value("", shape.member, given, depth + 1)]
    if shape.type_name == "map":
        return {"a": "b"}
    if shape.type_name in ("integer", "long"):
        return 1
    if shape.type_name in ("float", "double"):
        return 1.0
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "timestamp":
        return datetime(2026, 1, 1, tzinfo=UTC)
    if shape.type_name == "blob":
        return b"x"
    return shape.enum[0] if getattr(shape, "enum", None) else "x" * max(1, shape.metadata.get("min", 1))


def calls(client, **given):
    """Each operation's Python name and the arguments to call it with; `given` are members' values by their name."""
    given = NAMED | given
    model = client.meta.service_model
    for method, operation in client.meta.method_to_api_mapping.items():
        shape = model.operation_model(operation).input_shape
        members = shape.members if shape else {}
        wanted = set(shape.required_members if shape else ()) | (members.keys() & given.keys())
        yield method, {name: _value(name, members[name], given) for name in members if name in wanted}
