"""JSON Schema 2020-12: checked, applied within a budget, and compared."""
