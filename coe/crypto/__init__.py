"""Envelope encryption, data keys and signatures; the only importer of cryptography."""
