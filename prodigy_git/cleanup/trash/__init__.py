"""The trash: an entry for each removed worktree, from the intent to remove it until it is emptied.

Whatever is removed comes here, whole, and everything here can go back until it is emptied.
"""

DOOR = {
    "allowed_places": "refuse_foreign refuse_links",
    "branch_removal": "remove",
    "emptying": "empty_now expire purge start under_way",
    "entry": "DISABLED entries Entry folders free_disabled names_in_halves read write",
    "expiry": "expires_at measured note_sizes Plan plan Retentions",
    "full_disk": "remedy said",
    "halves": "anchor_folder in_place join last_known name_private of_folder registered",
    "intent": "begun drop head_is_sound MOMENT",
    "lost_branch": "keep",
    "removal": "remove resume",
    "settling": "store_of",
    "together": "checked_out Together",
    "unfinished": "find HalfWay",
    "without_repository": "remove repository_of restore words",
}
"""What others take of this room, by its modules."""
