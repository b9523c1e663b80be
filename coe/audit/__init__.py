"""The provable audit log: events, sealing, proofs, verification."""
