"""The names that a document refers to: what they are, and whether something has them."""
