"""Runs the command-line clients as a person's shell would."""

import os
import shutil
import subprocess

import pytest

from harness.keys import REGION

WITHIN_S = 600


def without_aws_settings():
    """The caller's environment without its own AWS settings, which many clients read."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def aws_environment(server, home, key=None):
    """What `two-buckets env` exports; with other credentials than the root's if `key` is given."""
    trusted = {"AWS_CA_BUNDLE": str(server.certificate)} if server.certificate else {}
    return without_aws_settings() | (key or server.root).for_environment() | trusted | {
        "HOME": str(home),
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LC_ALL": "C.UTF-8",
    }


def run(command, environment, folder=None, within_s=WITHIN_S):
    """Runs a client to its end; anything but success is a failed test that shows what the client said."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=within_s)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def needed(name):
    """Where a client is; a test whose client is not here says so instead of passing."""
    return shutil.which(name) or pytest.skip(f"{name} is not on PATH; `cargo xtask test` installs what it can")
