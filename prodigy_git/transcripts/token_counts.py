"""The tokens that a transcript tells of, read from where somebody has read up to."""

from collections.abc import Iterator

from prodigy_git.transcripts import complete_lines, transcript_file
from prodigy_git.transcripts.plain import Use, decoded
from prodigy_git.transcripts.transcript_file import Broken, Place


def uses(place: Place, descriptor: int, broken: Broken) -> Iterator[Use]:
    """Yield the tokens in what an open file has beyond ``place``, which moves on. Raises `OSError`.

    An answer may come several times, as `plain.Use` says. Lines that cannot tell of tokens are not
    decoded: most of a transcript is what tools have said.
    """
    form = transcript_file.recognise(place, descriptor)
    if form is None:
        return
    if place.offset == 0 and (record := transcript_file.whole(descriptor)) is not None:
        yield from form.uses(record, place.state, b"")
        return  # and nothing of it is left out next time
    for line in complete_lines.lines(descriptor, place.offset):
        wanted = line.data is not None and form.tells(line.data)
        record = decoded(line.data) if wanted and line.data is not None else None
        if not line.whole and record is None:
            return  # somebody is writing it
        place.offset = line.end
        if line.data is not None and record is not None:
            yield from form.uses(record, place.state, line.data)
        elif wanted:
            place.complain(broken, f"a line at byte {line.begin} is damaged, and not counted")
        elif line.data is None:
            place.complain(broken, f"a line at byte {line.begin} is too long, and not counted")
