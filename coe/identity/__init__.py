"""People and how they sign in: sessions, issuers, accounts."""
