"""The process language: load, check, draw and compare definitions; pure, without a database."""
