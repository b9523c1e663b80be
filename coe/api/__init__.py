"""The HTTP API: GraphQL, CloudEvents and the audit bundle.

Imports lead downwards: `http`, then `schema`, then `queries` and `mutations` (the root fields),
then `types` (views and inputs, which refer to one another), then `graphql` (what all of them use).
A resolver opens a session, calls a verb or a query of a package below, and shows what it returns.
"""
