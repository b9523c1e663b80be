"""Decision tables: read, checked exactly, evaluated and tested. Pure."""
