"""Decision tables in the catalog: documents and verbs."""
