"""OpenAPI documents: read, and their parameters serialised."""
