"""What a database consists of, from its catalog, to compare two databases."""

from __future__ import annotations

import asyncpg

SCHEMA = "public"
_QUERIES = {
    "relation": """
        SELECT relname, relkind, relpersistence, reloptions FROM pg_class
        WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
    """,
    "column": """
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,
          attidentity, attgenerated, pg_get_expr(adbin, adrelid)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p')
          AND attnum > 0 AND NOT attisdropped
    """,
    "index": """
        SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = $1::regnamespace
    """,
    "constraint": """
        SELECT conrelid::regclass::text, conname, convalidated, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = $1::regnamespace
    """,
    "trigger": """
        SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        WHERE NOT tgisinternal AND relnamespace = $1::regnamespace
    """,
    "function": """
        SELECT regexp_replace(pg_get_functiondef(oid), '\\s+', ' ', 'g') FROM pg_proc
        WHERE pronamespace = $1::regnamespace AND NOT EXISTS (
          SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    """,
    "extension": "SELECT extname FROM pg_extension WHERE $1 <> ''",
}


async def schema_of(url: str) -> set[tuple[object, ...]]:
    """Everything that the schema of a database consists of."""
    connection = await asyncpg.connect(url)
    found = {
        (kind, *row)
        for kind, query in _QUERIES.items()
        for row in await connection.fetch(query, SCHEMA)
    }
    await connection.close()
    return found
