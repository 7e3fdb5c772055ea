"""That something is refused, and that it is refused for the right reason."""

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


@contextmanager
def refused(*codes):
    """What is done inside must be refused with one of these codes; a HEAD has no body, so its code is the status."""
    with pytest.raises(ClientError) as error:
        yield error
    found = error.value.response["Error"]["Code"]
    assert found in codes, f"refused, but with {found}: {error.value}"
