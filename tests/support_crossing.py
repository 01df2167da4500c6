"""Another filesystem, for the tests on crossing from one to the other."""


def never(text: str) -> None:
    raise AssertionError(text)
