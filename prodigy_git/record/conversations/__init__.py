"""What agent programs tell by their hooks: whose session it is of, and what stands of it in the store.

A conversation is a session of an agent program. `normal_form` says what a hook was told, `dispatch`
where that goes: into the activity file, and through `bind_and_tell` where something follows from it.
The hook's process begins in `record.agent_hook`, a place that the script in users' settings names.
"""

DOOR = {
    "activity": "ENDED IDLE READ State WAITING append foremost states tail",
    "bindings": "path process read",
    "call_identity": "STRAY",
    "calling_program": "caller",
    "dispatch": "heard",
    "end_notes": "notes read",
    "first_object": "Unreadable read",
    "normal_form": "Heard PROGRAMS normal",
    "start_answer": "answer",
    "telling": "bring bring_all is_due state_of",
    "what_follows": "going has_ended is_the_programs name_of",
}
"""What others take of this room, by its modules."""
