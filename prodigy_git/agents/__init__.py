"""Agent programs and their hooks: ours put into their settings, taken out again, and looked after."""

DOOR = {
    "in_effect": "obstacles",
    "plugging": "Done install place Site state uninstall",
    "plugins": "place",
    "programs": "ALL BY_NAME is_found Program Scope SCOPES",
    "survey": "survey Surveyed",
}
"""What others take of this room, by its modules."""
