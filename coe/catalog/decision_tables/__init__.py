"""Decision tables in the catalog: their documents and their verbs."""
