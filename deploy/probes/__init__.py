"""What `deploy/verify.py` tries on a deployed stack, one file for each kind of promise.

A probe adds the versions it puts to its run's `puts`; what becomes of all of them is looked at together (`files`).
"""
