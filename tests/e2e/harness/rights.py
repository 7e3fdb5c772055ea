"""What was called in a role's name, compared with what the template lets that role do, in both directions."""

import contextlib
import re
import sys
from collections import namedtuple
from pathlib import Path

from harness import metrics, moto

sys.path.append(str(Path(__file__).parents[2] / "deploy"))
import tables  # noqa: E402 (of the template's own tests)
import template  # noqa: E402

# What AWS calls by itself where it serves such a call.
OF_SERVICES = {"kms", "logs", "xray"}

Right = namedtuple("Right", "action on call")
"""An action, the resource and, as the template says beside it, the call that needs it."""


class Calls:
    """What a deployment's services were asked for while it was recorded: S3's names of operations, IAM's of actions."""

    def __init__(self, deployment):
        self.deployment, self.seen = deployment, set()

    @contextlib.contextmanager
    def recorded(self):
        """Of S3 everything counts that is called meanwhile, whoever calls; of the others what is called in a role's name."""
        before = s3_calls(self.deployment)
        self._actions()
        yield
        after = s3_calls(self.deployment)
        self.seen |= {name for name, count in after.items() if count > before.get(name, 0)} | self._actions()

    def _actions(self):
        return moto.actions(self.deployment.dynamodb_url) | moto.actions(self.deployment.sqs_url)


def s3_calls(deployment):
    """Answers of S3, and of STS where that is ours, so far by operation."""
    found = {}
    for of, value in metrics.collect(deployment.server).samples("s3_requests_total"):
        found[of["operation"]] = found.get(of["operation"], 0) + value
    return found


def assert_rights_are_those(role, seen, in_trouble):
    """What was called may be, and what may be called was, or is said to be in trouble only: calls with their reasons."""
    rights = rights_of(role)
    without = {call for call in seen if not any(is_for(right, call) for right in rights)}
    assert not without, f"nothing in the template says that {role} may call {without}"
    idle = [right for right in rights if not any(is_for(right, call) for call in seen | set(in_trouble))]
    assert not idle, f"the template grants {role} what nothing calls: {idle}"
    wrong = {call for call in in_trouble if call in seen or not any(is_for(right, call) for right in rights)}
    assert not wrong, f"{role} is not to call this in trouble only: {wrong}"


def is_for(right, call):
    """Whether a call needs a right. S3 and Lambda name actions otherwise than calls."""
    service, action = right.action.split(":")
    return action == call if service not in ("s3", "lambda") else re.search(rf"\b{call}\b", right.call) is not None


def rights_of(role):
    """The rights of what runs in a role's name, without what AWS does in that name."""
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in list(tables.permissions(template.load()))[2:]]
    rights = [Right(action.strip("`"), on, call) for who, action, on, call in rows if f"`{role}`" in who]
    return [right for right in rights if not is_of_aws(right)]


def is_of_aws(right):
    """Whether it is a service that calls, or what starts a container; what is denied is no right."""
    return (
        right.action.startswith("never ")
        or right.action.split(":")[0] in OF_SERVICES
        or right.call.startswith("Lambda")
        or "CodeBucket" in right.on
    )
