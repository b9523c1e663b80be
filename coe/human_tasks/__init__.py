"""Questions to people: opened, claimed, answered, delegated and reminded of."""
