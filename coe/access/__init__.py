"""Who may do what; the only importer of casbin."""
