"""moto's queues, made fast: for each message that is received moto works out every attribute of its queue, to learn how long
it keeps messages, and counts all messages of it several times for that. `apply()` is called by a server of tests before it
starts."""

import time

from moto.sqs import models


def apply():
    def is_kept(self, queue_name, message):
        kept_s = self.get_queue(queue_name).message_retention_period
        return message.sent_timestamp / 1000 + kept_s > time.time()

    models.SQSBackend.is_message_valid_based_on_retention_period = is_kept
    # Asked of each message at each look at a queue.
    models.unix_time_millis = lambda: time.time() * 1000
