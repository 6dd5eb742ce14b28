"""One kernel for the notebooks that tests of this folder execute one by one."""

import pytest

from segkit.course.kernel import open_kernel


@pytest.fixture(scope="session")
def kernel():
    with open_kernel() as started:
        yield started
