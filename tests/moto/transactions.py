"""moto's transactions of DynamoDB, made fast: moto copies a whole table for each item of a transaction, to put it back
when that is refused. Here only the items are copied that the transaction is about. `apply()` is called by a server of
tests before it starts."""

import copy

from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table


class _Copies:
    """`copy` for moto's models, but for tables."""

    def __init__(self):
        self.operations, self.kept = [], {}

    def __getattr__(self, name):
        return getattr(copy, name)

    def begin(self, transact_items):
        self.operations = [operation for item in transact_items for operation in item.values()]
        self.kept = {}

    def deepcopy(self, value, *memo):
        if not isinstance(value, Table):
            return copy.deepcopy(value, *memo)
        if value.name not in self.kept:
            self.kept[value.name] = self._kept(value)
        return self.kept[value.name]

    def _kept(self, table):
        kept = copy.copy(table)
        kept.items = table.items.copy()
        for operation in self.operations:
            key = operation.get("Key") or operation["Item"]
            if operation["TableName"] != table.name:
                continue
            of_hash = DynamoType(key[table.hash_key_attr])
            of_range = DynamoType(key[table.range_key_attr])
            if of_hash in table.items:
                if kept.items[of_hash] is table.items[of_hash]:
                    kept.items[of_hash] = dict(table.items[of_hash])
                item = table.items[of_hash].get(of_range)
                if item is not None:
                    kept.items[of_hash][of_range] = copy.deepcopy(item)
        return kept


def apply():
    copies = models.copy = _Copies()
    whole = models.DynamoDBBackend.transact_write_items

    def transact_write_items(self, transact_items):
        copies.begin(transact_items)
        return whole(self, transact_items)

    models.DynamoDBBackend.transact_write_items = transact_write_items
