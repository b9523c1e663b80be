"""What a directory provisions by SCIM: accounts of people, and groups that give roles in teams."""
