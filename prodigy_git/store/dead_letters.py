"""Reading the file of a job's dead letter queue."""

from prodigy_git import layout
from prodigy_git.errors import ProdigyError
from prodigy_git.model.dlq import Queue
from prodigy_git.record import files, jsonline


def read(store: str, repo: str, job: str) -> Queue:
    """Return what a job's queue's file holds; an empty queue where there is none.

    Raises `ProdigyError` where it is damaged, since writing it anew would lose what is in it.
    """
    path = layout.dead_letters(store, repo, job)
    try:
        return Queue.of(jsonline.decode_object(files.read(path)))
    except FileNotFoundError:
        return Queue()
    except ValueError as error:
        raise ProdigyError(f"{path} is damaged: repair it or move it away") from error
