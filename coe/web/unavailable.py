"""The answer while the database cannot be used: 503, whichever door was asked."""

from __future__ import annotations

import logging

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from coe.db import is_unreachable, why_unusable
from coe.errors import Unavailable
from coe.logs import describe

ERRORS = (SQLAlchemyError, OSError)
"""What is raised if the database is gone, or every connection to it in use."""

_log = logging.getLogger("coe.web")


async def answer_unavailable(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001  # Starlette's signature
    """Say that it is to be tried again; an error of another kind stays one.

    Raises:
        Exception: The error, if it does not say that the database cannot be used.
    """
    if not is_unreachable(error):
        raise error
    _log.error("a request failed", extra=describe(error))
    content = {"message": why_unusable(error), "extensions": {"code": Unavailable.code}}
    headers = {"Retry-After": "5"}
    return JSONResponse({"errors": [content]}, status_code=Unavailable.status, headers=headers)
