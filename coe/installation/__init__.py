"""An installation as its operator sees it: the keys that it was given, and how it is."""
