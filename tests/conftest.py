"""What every test shares: nothing of the machine or the person that runs it decides whether a test passes."""

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

# A loaded CI machine is slow without being wrong: what must be fast is measured by bench/.
settings.register_profile("miniecs", deadline=None, print_blob=True)
settings.load_profile("miniecs")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the developer's AWS profile, endpoint and miniecs data folder before any fixture runs.

    And hear SIGINT: a shell has what it runs in the background ignore it, and so would all that tests start.
    """
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINIECS_"))]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """`-n auto` is half as many again as cores when slow tests run too: much of their time they wait."""
    cores = yield
    chosen = "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ
    return cores if chosen or "not slow" in config.option.markexpr else cores + cores // 2
