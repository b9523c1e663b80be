"""Who is who: how people and machines come in: accounts, sessions, enrolment, sign-in."""
