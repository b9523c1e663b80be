"""JSON Schema 2020-12: schemas are checked, applied within bounds, and compared."""
