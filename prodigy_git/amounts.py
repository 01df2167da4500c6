"""How clean-up puts numbers into words."""


def human(count: int) -> str:
    """Return a number of bytes as people read it: ``1.5 GiB``."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def number(count: int, noun: str) -> str:
    """Return a number of things: ``1 worktree``, ``2 worktrees``, ``2 branches``."""
    ending = "es" if noun.endswith("ch") else "s"
    return f"{count} {noun}{'' if count == 1 else ending}"
