"""`coe template`: list the templates of the catalog; render one from a folder."""
