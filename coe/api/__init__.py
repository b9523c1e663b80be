"""The GraphQL API; the only importer of strawberry."""
