"""What looks like a secret is taken out of foreign text before it is written anywhere.

The rules of tokens are those of gitleaks; those of passwords and the like, by their names, are ours.
"""

DOOR = {
    "gate": "redact secret_values",
}
"""What others take of this room, by its modules."""
