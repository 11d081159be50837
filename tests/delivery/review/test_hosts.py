import pytest

from bonafide.delivery.review.hosts import project
from bonafide.errors import ConfigError, DeliveryError

BRANCH = "promote/prod/pets-2"
NEW = "merge_request%5Bsource_branch%5D=promote%2Fprod%2Fpets-2&merge_request%5Btarget_branch%5D=main"


@pytest.mark.parametrize(
    ("place", "kind", "pulls", "by_hand"),
    [
        (
            "https://github.com/team/delivery.git",
            "github",
            "https://api.github.com/repos/team/delivery/pulls",
            f"https://github.com/team/delivery/compare/main...{BRANCH}",
        ),
        (
            "git@github.com:team/delivery.git",
            "github",
            "https://api.github.com/repos/team/delivery/pulls",
            f"https://github.com/team/delivery/compare/main...{BRANCH}",
        ),
        (
            "https://GitHub.com:443/team/delivery.git",
            "github",
            "https://api.github.com/repos/team/delivery/pulls",
            f"https://github.com/team/delivery/compare/main...{BRANCH}",
        ),
        (
            "ssh://git@codeberg.org:22/team/delivery",
            "gitea",
            "https://codeberg.org/api/v1/repos/team/delivery/pulls",
            f"https://codeberg.org/team/delivery/compare/main...{BRANCH}",
        ),
        (
            "https://bot:hush@git.example.org:8443/team/delivery.git",
            "github",
            "https://git.example.org:8443/api/v3/repos/team/delivery/pulls",
            f"https://git.example.org:8443/team/delivery/compare/main...{BRANCH}",
        ),
        (
            "https://example.org/git/team/delivery.git",
            "gitea",
            "https://example.org/git/api/v1/repos/team/delivery/pulls",
            f"https://example.org/git/team/delivery/compare/main...{BRANCH}",
        ),
        (
            "http://localhost:3000/team/delivery.git",
            "gitea",
            "http://localhost:3000/api/v1/repos/team/delivery/pulls",
            f"http://localhost:3000/team/delivery/compare/main...{BRANCH}",
        ),
    ],
)
def test_an_address_says_where_the_api_is_and_where_a_person_goes(monkeypatch, place, kind, pulls, by_hand):
    monkeypatch.setenv("BONAFIDE_GIT_HOST", kind)
    found = project(place)
    assert (found.kind, found.pulls, found.by_hand(BRANCH)) == (kind, pulls, by_hand)
    assert "hush" not in repr(found)


@pytest.mark.parametrize("place", ["https://gitlab.com/a/b/delivery.git", "git@gitlab.com:a/b/delivery.git"])
def test_a_project_of_gitlab_may_lie_in_groups_of_groups(place):
    found = project(place)
    assert found.kind == "gitlab"
    assert found.by_hand(BRANCH) == f"https://gitlab.com/a/b/delivery/-/merge_requests/new?{NEW}"


@pytest.mark.parametrize(
    ("place", "login"),
    [
        ("git@github.com:team/delivery.git", "https://github.com/team/delivery.git"),
        ("ssh://git@github.com:22/team/delivery", "https://github.com/team/delivery.git"),
        ("https://bot@github.com/team/delivery", "https://bot@github.com/team/delivery"),
    ],
)
def test_over_ssh_the_password_for_https_of_the_same_host_is_meant(place, login):
    assert project(place).login == login


@pytest.mark.parametrize("place", ["http://bot:hush@GitHub.com/a/b", "http://bot:hush@gitea.lan:3000/a/b"])
def test_a_password_goes_to_no_other_machine_in_clear(monkeypatch, place):
    monkeypatch.setenv("BONAFIDE_GIT_HOST", "gitea")
    host = place.partition("@")[2]
    with pytest.raises(DeliveryError, match=f"^http://{host} .*anybody on the way; use https") as told:
        project(place)
    assert "hush" not in str(told.value)


def test_gitlab_is_asked_by_the_push_alone_so_http_is_gits_matter(monkeypatch):
    monkeypatch.setenv("BONAFIDE_GIT_HOST", "gitlab")
    assert project("http://gitlab.lan/a/b").by_hand(BRANCH).startswith("http://gitlab.lan/a/b/-/merge")


def test_what_is_known_of_a_host_comes_before_the_setting(monkeypatch):
    monkeypatch.setenv("BONAFIDE_GIT_HOST", "gitea")
    assert project("https://github.com/team/delivery").kind == "github"


@pytest.mark.parametrize("named", ["", "bitbucket"])
def test_a_host_that_nobody_knows_is_asked_for(monkeypatch, named):
    monkeypatch.setenv("BONAFIDE_GIT_HOST", named)
    said = "BONAFIDE_GIT_HOST is bitbucket" if named else "nothing says what kind of host git.example.org is"
    with pytest.raises(ConfigError, match=f"{said}; set BONAFIDE_GIT_HOST to github, gitlab, gitea"):
        project("https://bot:hush@git.example.org/team/delivery.git")


@pytest.mark.parametrize("place", ["/home/anna/delivery", "delivery"])
def test_in_a_folder_nobody_is_asked(place):
    with pytest.raises(DeliveryError, match=f"{place} is a folder, where nobody is asked"):
        project(place)


@pytest.mark.parametrize(
    "place", ["file:///srv/team/delivery.git", "https://bot:hush@github.com/delivery", "https://[hush@x/a/b"]
)
def test_an_address_without_host_and_repository_is_refused(place):
    with pytest.raises(DeliveryError, match="names no host and repository for a pull request; give") as told:
        project(place)
    assert "hush" not in str(told.value)
