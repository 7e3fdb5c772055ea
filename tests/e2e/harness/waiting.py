"""Waiting for a condition, never for a time."""

import threading
import time

PAUSE_S = 0.02


def until(claim, look, within_s=60):
    """Calls `look` until it returns something true, and returns that; `claim` says what was waited for."""
    deadline = time.monotonic() + within_s
    between_looks = threading.Event()
    while True:
        began = time.monotonic()
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {claim}; last seen: {seen!r}")
        # Whoever looks leaves most of the machine to what is waited for.
        took = time.monotonic() - began
        between_looks.wait(min(max(PAUSE_S, 3 * took), 2))


def until_quiet(server, within_s=300):
    """Waits until a server has nothing left to do. What is only expected may never come."""

    def unfinished():
        # Each state is one look, so one upload may slip from the one to the other and back, but not past three.
        looks = ("pending", "processing", "pending")
        return any(not row["expected"] for state in looks for row in server.api.uploads(state=state))

    until("nothing is left to do", lambda: not unfinished() and not unfinished(), within_s)
