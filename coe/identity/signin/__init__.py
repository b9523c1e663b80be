"""Sign-in by OpenID Connect, sessions, and sign-out."""
