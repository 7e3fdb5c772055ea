"""A file that the deployed function refuses for good, which only who deployed it can name."""

from probes.uploads import Refused, call

ASIDE = "a file that the function refuses is set aside with its reason, and stays in staging"
RETRIED = "a file that was set aside is tried again when it is retried"
HOW = "say what the function refuses for good: --failing-suffix, --failing-content"


def put_failing(run, suffix, content):
    """Puts such a file, if one is known."""
    if suffix is None and content is None:
        for claim in (ASIDE, RETRIED):
            run.report.skipped(claim, HOW)
        return None
    return run.put(f"refused{suffix or ''}", (content or "the function refuses this by its key").encode(), must_fail=True)


def check_failing(run, put, rows, token):
    if put is None:
        return
    run.report.claim(ASIDE, not_aside(run, put, rows.get(put.version)))
    check_retry(run, put, rows.get(put.version, {}), token)


def not_aside(run, put, row):
    """What is wrong with a file that should have failed."""
    if row is None:
        yield "not in time"
    elif row["state"] != "failed":
        yield f"it is {row['state']}"
    elif not row.get("reason"):
        yield "it has no reason"
    if put.version not in run.stack.staged(put.key):
        yield "it is gone from staging"
    archived = [version for version in run.made(run.stack.archive)[0] if version["Key"] == put.key]
    if archived or run.beside(put.key):
        yield "it is in the archive"


def check_retry(run, put, row, token):
    """Retries it by the upload API. It is refused again, so it fails again."""
    report = run.report
    if row.get("state") != "failed":
        return report.skipped(RETRIED, "nothing was set aside")
    if "ApiUrl" not in run.stack.outputs:
        return report.skipped(RETRIED, "no upload API is known: --api-url")
    try:
        call(run.stack, "POST", f"/api/uploads/{row['sk']}/retry", token)
    except Refused as refused:
        return refused.said(report, RETRIED)
    attempts = int(row["attempts_ever"])

    def failed_again():
        now = run.ended(put)
        return now and now["state"] == "failed" and int(now["attempts_ever"]) > attempts

    return report.claim(RETRIED, [] if run.until(failed_again) else [f"{put.key!r} did not fail again in time"])
