"""One form for all the ways to write where a repository was cloned from; and none for a place here."""

import pytest

from prodigy_git.hub import remote_url

SAME = [
    "https://git.example.org/team/repo",
    "https://git.example.org/team/repo.git",
    "https://git.example.org/team/repo.git/",
    "https://git.example.org:443//team//repo/",
    "http://git.example.org/team/repo",
    "HTTPS://Git.Example.ORG/team/repo",
    "https://git.example.org./team/repo",
    "https://alice@git.example.org/team/repo",
    "https://alice:pa%2Fss@git.example.org/team/repo.git",
    "https://git.example.org/team/repo.git?private_token=abc#x",
    "https://git.example.org/%74eam/re%70o",
    "https://git.example.org/other/../team/./repo",
    "ssh://git@git.example.org/team/repo.git",
    "ssh://git@git.example.org:22/team/repo.git",
    "git+ssh://git.example.org/team/repo",
    "ssh+git://git.example.org/team/repo",
    "git://git.example.org/team/repo",
    "git://git.example.org:9418/team/repo",
    "ftps://git.example.org/team/repo",
    "git@git.example.org:team/repo.git",
    "git@git.example.org:/team/repo.git",
    "git@git.example.org:~/team/repo.git",
    "git.example.org:team/repo",
    "alice@git.example.org:/team/repo",
    "ssh://alice@git.example.org/team/repo",
    "[git.example.org:22]:team/repo",
    "[git@git.example.org]:team/repo",
    " https://git.example.org/team/repo ",
]


@pytest.mark.parametrize("url", SAME)
def test_each_way_to_write_one_place_has_one_form(url):
    assert remote_url.form(url) == "git.example.org/team/repo"


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://git.example.org/team/Repo", "git.example.org/team/Repo"),
        ("https://git.example.org:8443/team/repo", "git.example.org:8443/team/repo"),
        ("ssh://git@git.example.org:2222/team/repo", "git.example.org:2222/team/repo"),
        ("[git@git.example.org:2222]:team/repo", "git.example.org:2222/team/repo"),
        ("alice@git.example.org:repo", "git.example.org/~alice/repo"),
        ("ssh://alice@git.example.org/~/repo", "git.example.org/~alice/repo"),
        ("ssh://bob@git.example.org/~alice/repo", "git.example.org/~alice/repo"),
        ("bob@git.example.org:repo", "git.example.org/~bob/repo"),
        ("bob@git.example.org:~alice/repo", "git.example.org/~alice/repo"),
        ("https://git.example.org/srv/repo/.git", "git.example.org/srv/repo"),
        ("https://git.example.org/fork/repo", "git.example.org/fork/repo"),
        ("https://[2001:DB8::1]:8443/repo", "[2001:db8::1]:8443/repo"),
        ("git@[2001:db8::1]:repo", "[2001:db8::1]/repo"),
        ("https://bücher.example/repo", "xn--bcher-kva.example/repo"),
        ("https://git.example.org/caf\u0065\u0301", "git.example.org/caf\u00e9"),
    ],
)
def test_what_differs_is_another_place(url, form):
    assert remote_url.form(url) == form


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Team/Repo", "git@github.com:team/repo.git",
        "ssh://git@ssh.github.com:443/team/REPO.git", "org-17@github.com:team/repo",
    ],
)  # fmt: skip
def test_a_forge_to_which_both_are_one_has_one_form_for_them(url):
    assert remote_url.form(url) == "github.com/team/repo"


@pytest.mark.parametrize(
    "url",
    [
        "", "/srv/git/repo.git", "../repo.git", "repo.git", "./team:repo", "file:///srv/git/repo.git",
        "C:/x".replace("C:", "./C:"), "~/repo", "ext::sh -c 'touch /tmp/x'", "helper::https://a.example/x",
        "codecommit::eu-west-1://repo", "codecommit://repo", "http://localhost:3000/team/repo",
        "git@localhost:team/repo", "https://127.0.0.1/x", "ssh://[::1]/x", "https://x.localhost/x",
        "https://git.example.org", "https://git.example.org/", "https://git.example.org/.git",
        "git@git.example.org:", "https:///team/repo", "https://git.example.org:port/x",
        "https:alice:secret@git.example.org/team/repo", "alice:secret@git.example.org:team/repo",
        "https://git.example.org/a\x1b[31mb", "https://git.example.org/a%1b[31mb",
        "https://git.example.org/a\nb", "https://git.exam ple.org/x", "https://git.example.org/%00",
        "--upload-pack=touch /tmp/x", "https://" + "a" * 70 + "ü.example/x",
    ],
)  # fmt: skip
def test_what_is_no_place_for_others_has_none(url):
    assert remote_url.form(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://alice:hunter2pass@git.example.org/team/repo",
        "https://proxy.example.org/https://alice:hunter2pass@git.example.org/team/repo",
        "https://git.example.org/team/repo?token=hunter2pass",
        "ssh://alice:hunter2pass@git.example.org/~/repo",
        "https://git.example.org/ghp_hunter2passhunter2passhunter2passhun/repo",
    ],
)
def test_who_may_come_in_is_no_part_of_it(url):
    assert "hunter2pass" not in (remote_url.form(url) or "")


def test_one_that_is_very_long_has_a_form_of_usual_length_and_still_its_own():
    one, other = (f"https://git.example.org/{'a' * 5000}{end}" for end in "xy")
    assert remote_url.form(one) == remote_url.form(one + ".git") != remote_url.form(other)
    assert len(remote_url.form(one)) == len("sha256:") + 64


def test_a_form_is_a_form_of_itself():
    for url in SAME:
        found = remote_url.form(url)
        assert remote_url.form(f"https://{found}") == found
