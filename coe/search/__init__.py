"""The index of the catalog's entries: words, synonyms, ranking, facets and highlights.

It is derived from the database and never a second truth. It knows no database and no policy: what
a caller may read comes as teams and data classes (`coe.search.reach`). The only importer of
tantivy.
"""
