"""Checks a deployed stack against what it promises: `cargo xtask verify --stack NAME`, or with boto3 `python deploy/verify.py`.

It puts files of its own under one prefix and under keys that the upload API makes, waits, and looks at everything that
became of them: each is archived once, with the same bytes, recorded in the ledger, and gone from staging. Then it tries
what nobody but the pipeline may do. It needs credentials that may put to and list staging, read and list the archive, and
read the ledger; what more a probe needs and does not get is said to be skipped. It removes nothing unless told (`--clean`),
and then only what it made. The probes themselves are in `deploy/probes`.
"""

import argparse
import sys
import time
import uuid

from probes import events, failing, files, late
from probes.report import Report
from probes.roles import check_roles
from probes.run import Run
from probes.stack import Stack
from probes.uploads import check_uploads

PAUSE_S = 2


def flags_of(words):
    parser = argparse.ArgumentParser(prog="verify", description=__doc__.splitlines()[0])
    parser.add_argument("--stack", help="the stack's name")
    parser.add_argument("--staging", help="in the place of what the stack's outputs say, as the next four")
    parser.add_argument("--archive")
    parser.add_argument("--ledger-table")
    parser.add_argument("--api-url")
    parser.add_argument("--queue-url")
    parser.add_argument("--api-token", help="a token that the upload API takes; without it calls are signed with IAM credentials")
    parser.add_argument("--failing-suffix", help="what the key of a file ends with that the deployed function refuses for good")
    parser.add_argument("--failing-content", help="the content of such a file")
    parser.add_argument("--files", type=int, default=50, help="how many small files are put beside the odd ones (50)")
    parser.add_argument("--within-s", type=int, default=900, help="how long each wait may take (900, three sweeps)")
    parser.add_argument("--clean", action="store_true", help="remove what this made, from the archive too")
    return parser.parse_args(words)


def verify(run, flags):
    """Puts everything, waits for it, and looks at it."""
    begun = late.begin(run)
    events.leave_marker(run)
    files.put_files(run, flags.files)
    other, other_came_at = late.put_other(run)
    refused = failing.put_failing(run, flags.failing_suffix, flags.failing_content)
    check_uploads(run, flags.api_token)
    put_late, is_older = late.complete(run, begun, other, other_came_at)
    rows, left = files.settled(run)
    files.check_files(run, rows, left)
    late.check(run, put_late, is_older, other, rows)
    events.check_marker(run, left)
    events.check_again(run, rows)
    failing.check_failing(run, refused, rows, flags.api_token)
    check_roles(run.stack, run.report)


def main(words=None, pause=lambda: time.sleep(PAUSE_S), say=print):
    flags = flags_of(words)
    stack, report = Stack(flags), Report(say)
    prefix = f"verify/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}/"
    run = Run(stack, report, prefix, flags.within_s, pause)
    say(f"files are put below {prefix} in {stack.staging}")
    verify(run, flags)
    if flags.clean:
        files.clean(run)
    else:
        say(f"they stay below {prefix} in {stack.archive}; --clean removes them")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
