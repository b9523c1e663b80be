"""The floor of `api.py`: one statement of asyncpg, one `orjson.dumps`, no framework.

It knows neither GraphQL nor who asks: what it takes is the least that the same answer can cost.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson
from api_serving import serve

_PAGE = """
SELECT e.namespace, e.name, e.title, e.summary, e.lifecycle, e.flow_kind,
       t.slug, t.name AS team_name, v.version, v.digest, v.published_at
FROM entries e
JOIN teams t ON t.slug = e.team
LEFT JOIN entry_aliases a ON a.entry_id = e.id AND a.alias = 'live'
LEFT JOIN entry_versions v ON v.id = a.version_id
WHERE e.kind = 'FLOW'
ORDER BY lower(e.title), e.id
LIMIT $1
"""


def app(url: str) -> Callable[..., Awaitable[None]]:
    """The application; its pool connects at the first request."""
    pool: Any = None

    async def respond(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal pool
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        if pool is None:
            pool = await asyncpg.create_pool(url, min_size=1, max_size=4)
        first = orjson.loads(body)["variables"]["first"]
        async with pool.acquire() as connection:
            rows = await connection.fetch(_PAGE, first)
        answer = {"data": {"flows": {"nodes": [_node(row) for row in rows]}}}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})

    return respond


def _node(row: Any) -> dict[str, Any]:
    return {
        "ref": f"{row['namespace']}/{row['name']}",
        "title": row["title"],
        "summary": row["summary"],
        "lifecycle": row["lifecycle"],
        "flowKind": row["flow_kind"],
        "owner": {"slug": row["slug"], "name": row["team_name"]},
        "version": {
            "version": row["version"],
            "digest": row["digest"],
            "publishedAt": row["published_at"],
        },
    }


if __name__ == "__main__":
    serve(app(sys.argv[1]), int(sys.argv[2]))
