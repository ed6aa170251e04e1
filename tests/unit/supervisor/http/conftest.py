"""The application without and with a key; building one takes far longer than a request."""

import dataclasses

import pytest

from supervisor.settings import Settings, parse_settings
from tests.support.http_app import AppClient
from tests.support.memory_plane import MemoryControlPlane


@pytest.fixture(scope="session")
def settings() -> Settings:
    return parse_settings("sondad", ["--max-body-bytes", "1000"], {})


@pytest.fixture
def client(settings: Settings) -> AppClient:
    return AppClient(MemoryControlPlane(), settings)


@pytest.fixture
def locked(settings: Settings) -> AppClient:
    """The application protected by the key `sesame`."""
    return AppClient(MemoryControlPlane(), dataclasses.replace(settings, api_key="sesame"))


@pytest.fixture(scope="session")
def shared_client(settings: Settings) -> AppClient:
    """As `client`, for tests that launch nothing."""
    return AppClient(MemoryControlPlane(), settings)


@pytest.fixture(scope="session")
def shared_locked(settings: Settings) -> AppClient:
    """As `locked`, for tests that launch nothing."""
    return AppClient(MemoryControlPlane(), dataclasses.replace(settings, api_key="sesame"))
