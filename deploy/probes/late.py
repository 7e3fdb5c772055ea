"""An upload in parts that is begun before another of its key and completed after it.

S3 dates a version by when its upload was begun, so the one that ends last is the older one. Which of the two is current
is decided here by what S3 says of them, whatever that is.
"""

import datetime

from probes.files import begin_in_parts, put_in_parts

NAME = "ends late"
CLAIM = "an upload in parts that is begun before another and completed after it is kept beside, never current"


def begin(run):
    """Sends the parts, a moment before anything else is put: S3 tells the time in whole seconds."""
    begun = begin_in_parts(run, NAME, [b"begun first and completed last"])
    run.pause()
    return begun


def put_other(run):
    """Puts the other upload of its key; gives it, and when it came."""
    other = run.put(NAME, b"put between begin and end of the other")
    return other, came_at(run, other)


def complete(run, begun, other, other_came_at):
    """Completes it, best when the other is archived; gives what was put, and whether it is the older one."""
    run.until(lambda: run.ended(other))
    put = put_in_parts(run, begun)
    is_older = before(came_at(run, put), other_came_at)
    run.puts.insert(run.puts.index(other) if is_older else len(run.puts), put)
    return put, is_older


def came_at(run, put):
    """When S3 says that it came. What is gone from staging was noted before, as S3 said it."""
    staged = run.stack.staged(put.key)
    if put.version in staged:
        return staged[put.version]
    row = run.stack.row(put)
    return datetime.datetime.fromisoformat(row["last_modified"].replace("Z", "+00:00")) if row and "last_modified" in row else None


def before(one, other):
    return one is not None and other is not None and one < other


def check(run, put, is_older, other, rows):
    """Whether each is where it belongs."""
    run.report.claim(CLAIM, problems(run, put, is_older, other, rows))


def problems(run, put, is_older, other, rows):
    row = rows.get(put.version)
    if row is None or other.version not in rows:
        yield "not in time"
        return
    # Where both were in staging at once the older one was archived first, as ever.
    wanted = ("late", "archived") if is_older else ("archived",)
    if row["state"] not in wanted:
        yield f"it is {row['state']}, and S3 says that it is the {'older' if is_older else 'newer'} one"
    is_beside = row.get("archive_key", "").startswith("_late/")
    if is_beside != (row["state"] == "late"):
        yield f"it is {row['state']}, at {row.get('archive_key', row['key'])!r}"
    current = other if is_older else put
    if run.stack.digest(put.key) != current.sha256:
        yield "the older one is current"
