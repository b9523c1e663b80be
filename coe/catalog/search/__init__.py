"""Search over the catalog: the search document, the query, facets and suggestions."""
