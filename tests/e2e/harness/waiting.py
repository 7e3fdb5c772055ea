"""Waiting for a condition, never for a time."""

import threading
import time

PAUSE_S = 0.02


def until(claim, look, within_s=60):
    """Calls `look` until it returns something true, and returns that; `claim` says what was waited for."""
    deadline = time.monotonic() + within_s
    between_looks = threading.Event()
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {claim}; last seen: {seen!r}")
        between_looks.wait(PAUSE_S)


def until_quiet(server, within_s=300):
    """Waits until a server has nothing left to do. What is only expected may never come."""

    def unfinished():
        rows = server.api.uploads(state="pending") + server.api.uploads(state="processing")
        return [row for row in rows if not row["expected"]]

    until("nothing is left to do", lambda: not unfinished(), within_s)
