"""Commands of an operator: the settings, the keys, the database, and how an installation is."""
