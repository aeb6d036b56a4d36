"""What every test shares: nothing of the machine or the person that runs it decides whether a test passes."""

import os

import pytest
from hypothesis import settings

# A loaded CI machine is slow without being wrong: what must be fast is measured by bench/.
settings.register_profile("miniecs", deadline=None, print_blob=True)
settings.load_profile("miniecs")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the developer's AWS profile, endpoint and miniecs data folder before any fixture runs."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINIECS_"))]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
