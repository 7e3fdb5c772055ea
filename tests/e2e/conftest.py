"""Fixtures of every end-to-end test."""

import hashlib

import pytest

from harness.server import Server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """One server for the tests that only send files and look; each of them uses keys of its own."""
    server = Server(tmp_path_factory.mktemp("shared")).start()
    yield server
    assert server.stop() == 0, server.log.read_text()[-4000:]


@pytest.fixture
def make_server(tmp_path):
    """Starts servers with data folders of their own, and ends those that still run."""
    made = []

    def make(*flags, **how):
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(Server(folder, *flags, **how))
        return made[-1].start()

    yield make
    for server in made:
        if server.process and server.process.poll() is None:
            server.kill()


@pytest.fixture
def server(make_server):
    """A server of the test's own, to be killed and restarted at will."""
    return make_server()


@pytest.fixture
def plain_bucket(shared_server, request):
    """A bucket nothing happens to, empty."""
    # A bucket's name is short and plain; the test's is neither.
    name = "plain-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:24]
    s3 = shared_server.s3()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def prefix(request):
    """A prefix for this test's keys alone."""
    return f"{request.node.name}/"
