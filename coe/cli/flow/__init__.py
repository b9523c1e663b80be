"""`coe flow`: one module a command; what is slow to import stands in modules beside them."""
