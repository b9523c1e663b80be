"""The application over HTTP, for those who attack it from outside."""

from tests.api.conftest import api, still_api

__all__ = ["api", "still_api"]
