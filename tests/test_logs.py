"""Log lines are JSON, and quote no data of exceptions."""

from __future__ import annotations

import asyncio
import io
import json
import logging

from coe import logs


def _fail() -> None:
    try:
        int("Jane Doe")
    except ValueError as error:
        raise RuntimeError("4 Privet Drive") from error


def test_a_log_line_is_json_and_holds_no_message_of_an_exception() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logger = logging.getLogger("coe.test_logs")
    logger.addHandler(handler)
    try:
        _fail()
    except RuntimeError:
        logger.exception("a step failed", extra={"run": "r-1"})
    finally:
        logger.removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert line["message"] == "a step failed"
    assert line["run"] == "r-1"
    assert line["types"] == ["builtins.RuntimeError", "builtins.ValueError"]
    assert "test_logs.py" in line["frames"][0]
    assert "Jane" not in stream.getvalue()
    assert "Privet" not in stream.getvalue()


def test_the_log_quotes_no_exception_of_a_lost_task() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    loop = asyncio.new_event_loop()

    async def lost() -> None:
        raise ValueError("Ada Lovelace")

    try:
        task = loop.create_task(lost())
        loop.run_until_complete(asyncio.wait({task}))
        loop.call_exception_handler({"message": "never retrieved", "future": task})
    finally:
        loop.close()
        logger.removeHandler(handler)
    assert "never retrieved" in stream.getvalue()
    assert "Ada" not in stream.getvalue()
