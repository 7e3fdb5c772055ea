"""moto's answers of DynamoDB, made fast: for each query moto sorts all items of the table, whatever their partition, and for
each attribute of an answer it tries four spellings of the name of each type there is. `apply()` is called by a server of
tests before it starts."""

import copy

from moto.core import serialize
from moto.dynamodb.models.table import Table


def apply():
    of_all = Table.query

    def query(self, hash_key, *how, **more):
        if hash_key is None or (len(how) > 6 and how[6]) or more.get("index_name"):
            return of_all(self, hash_key, *how, **more)
        partition = copy.copy(self)
        partition.items = {hash_key: self.items[hash_key]} if hash_key in self.items else {}
        return of_all(partition, hash_key, *how, **more)

    Table.query = query

    of_any = serialize.BaseJSONSerializer._serialize_type_structure

    def structure(self, serialized, value, shape, key):
        if shape.name == "AttributeValue" and key and not has_bytes(value):
            # As it was sent.
            serialized[key] = value
        else:
            of_any(self, serialized, value, shape, key)

    serialize.BaseJSONSerializer._serialize_type_structure = structure


def has_bytes(value):
    """Whether there are any, which are written otherwise than they are kept."""
    if isinstance(value, dict):
        return any(has_bytes(inner) for inner in value.values())
    if isinstance(value, list):
        return any(has_bytes(inner) for inner in value)
    return isinstance(value, bytes)
