"""`coe flow`: one module a command; slow imports are in the modules beside them."""
