"""The commands of people, machines and their credentials."""
