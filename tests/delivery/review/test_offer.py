"""Promotions that are reviewed: real Git over HTTP with a token, and stand-ins of the hosts' APIs."""

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from typer.testing import CliRunner

from bonafide.cli.main import app
from bonafide.delivery import checkout as checkouts
from bonafide.delivery import promote as step
from bonafide.delivery.checkout import checkout
from bonafide.delivery.promote import catch_up, promote_version
from bonafide.delivery.repository import folder_of, package_digest
from bonafide.delivery.review.offer import offer_version
from bonafide.delivery.rollout.hand import roll_back
from bonafide.delivery.rollout.state import read_rollout
from bonafide.errors import DeliveryError
from bonafide.registry.versions import champion
from tests.delivery.git_host import hosted
from tests.delivery.git_server import TOKEN
from tests.delivery.test_repository import git

pytestmark = pytest.mark.usefixtures("registry", "no_git_settings")
TASK = "authenticity"
BRANCH = f"promote/dev/{TASK}-2"
RULES, STEPS = str(folder_of("dev", TASK) / "rollout.yaml"), "steps: [0, 50, 100]\n"
WHO = ("-c", "user.name=A", "-c", "user.email=a@localhost")


@pytest.fixture(autouse=True)
def fetched_by_clusters(monkeypatch):
    """Packages of these tests lie in a folder, which stands for a bucket here."""
    monkeypatch.setattr(checkouts, "WAITS", (0.0,))
    monkeypatch.setattr(step, "UNREACHABLE", ())


@contextmanager
def host(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_GIT_HOST", kind)
    with hosted(tmp_path / "git", kind) as pulls:
        pulls.server.named(monkeypatch)
        yield pulls


@pytest.fixture(params=["github", "gitea"])
def pulls(request, tmp_path, monkeypatch):
    with host(request.param, tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def github(tmp_path, monkeypatch):
    with host("github", tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def gitlab(tmp_path, monkeypatch):
    """Its hook does what GitLab does with the options of a push, as far as they are told."""
    with host("gitlab", tmp_path, monkeypatch) as running:
        git(running.server.folder, "config", "receive.advertisePushOptions", "true")
        hook = running.server.folder / "hooks" / "post-receive"
        hook.write_text(
            "#!/bin/sh\n"
            "for i in 0 1 2 3; do printenv GIT_PUSH_OPTION_$i; done > options\n"
            "grep -q . options || exit 0\n"
            "echo; echo 'View merge request:'; echo '  http://localhost/team/delivery/-/merge_requests/7'\n"
        )
        hook.chmod(0o755)
        yield running


@pytest.fixture
def versions(record):
    """The first is to serve; the others were judged against it."""
    return [record(model=b"one"), *(record(model=model, champion="1") for model in (b"two", b"three"))]


def promote(version, pulls, environment="dev"):
    return promote_version(TASK, version.number, pulls.server.url, environment)


def offer(version, pulls, environment="dev", **more):
    return offer_version(TASK, version.number, pulls.server.url, environment, **more)


def clone(pulls, folder: Path) -> Path:
    git(folder, "clone", "--quiet", pulls.server.url, "reviewer")
    return folder / "reviewer"


def person(pulls, folder: Path, path: str, text: str, branch: str = "main") -> None:
    """Somebody pushes a file."""
    if not (folder / "reviewer").exists():
        clone(pulls, folder)
    mine = folder / "reviewer"
    git(mine, "fetch", "--quiet", "origin", branch)
    git(mine, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    (mine / path).parent.mkdir(parents=True, exist_ok=True)
    (mine / path).write_text(text)
    git(mine, "add", "--all")
    git(mine, *WHO, "commit", "--quiet", f"--message={path}")
    git(mine, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")


def merge(pulls, folder: Path, how: str, branch: str = BRANCH) -> None:
    """As the hosts' buttons do it."""
    folder.mkdir(exist_ok=True)
    mine = clone(pulls, folder)
    if how == "squash":
        git(mine, "merge", "--quiet", "--squash", f"origin/{branch}")
        request = pulls.made[-1]
        git(mine, *WHO, "commit", f"--message={request['title']} (#1)\n\n{request['body']}")
    elif how == "rebase":
        git(mine, *WHO, "rebase", "--quiet", "--force-rebase", "origin/main", f"origin/{branch}")
    else:
        git(mine, *WHO, "merge", "--no-ff", "--message=Merge pull request #1", f"origin/{branch}")
    git(mine, "push", "--quiet", "origin", "HEAD:main")


def heads(pulls) -> dict[str, str]:
    told = git(pulls.server.folder, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)")
    return dict(line.split() for line in told.splitlines())


def test_the_commit_goes_to_a_branch_and_a_request_is_opened(versions, pulls):
    promote(versions[0], pulls)
    before = heads(pulls)
    address = offer(versions[1], pulls)
    assert address == f"{pulls.server.url.removesuffix('.git')}/pull/1"
    after = heads(pulls)
    assert after == before | {BRANCH: after[BRANCH]}
    assert git(pulls.server.folder, "rev-parse", f"{BRANCH}^") == before["main"]
    message = git(pulls.server.folder, "log", "-1", "--format=%B", BRANCH)
    [request] = pulls.made
    assert f"{request['title']}\n\n{request['body']}" == message
    assert request["title"] == f"Promote {TASK} version 2 in dev"
    assert f"Package-Digest: {versions[1].tags['package_digest']}\n" in request["body"]
    assert champion(TASK) == versions[0]


def test_the_commit_is_that_of_a_promotion(versions, github):
    promote(versions[0], github)
    offer(versions[1], github)
    commit = promote(versions[1], github)
    told = "--format=%T %P %B"
    assert git(github.server.folder, "log", "-1", told, BRANCH) == git(
        github.server.folder, "log", "-1", told, commit
    )


def test_again_the_open_request_is_found_and_the_branch_left_alone(versions, pulls):
    promote(versions[0], pulls)
    address = offer(versions[1], pulls)
    before = heads(pulls)
    assert offer(versions[1], pulls) == address
    assert heads(pulls) == before
    assert len(pulls.made) == 1
    assert pulls.asked == ["POST", "POST", "GET"]


def test_a_request_that_was_declined_is_opened_anew(versions, pulls):
    promote(versions[0], pulls)
    first = offer(versions[1], pulls)
    pulls.made[0]["state"] = "closed"
    assert offer(versions[1], pulls) != first
    assert len(pulls.made) == 2


@pytest.mark.parametrize("where", ["main", BRANCH])
def test_a_branch_that_differs_is_made_again_on_the_newest_main(versions, github, tmp_path, where):
    promote(versions[0], github)
    address = offer(versions[1], github)
    person(github, tmp_path, "note", "mine\n", where)
    before = heads(github)
    assert offer(versions[1], github) == address
    after = heads(github)
    assert after["main"] == before["main"] == git(github.server.folder, "rev-parse", f"{BRANCH}^")
    assert after[BRANCH] != before[BRANCH]


def test_main_may_move_before_the_branch_is_pushed(versions, github, tmp_path, monkeypatch):
    promote(versions[0], github)
    before, real = heads(github), checkouts.Checkout.offer

    def meanwhile(*arguments):
        person(github, tmp_path, "note", "mine\n")
        return real(*arguments)

    monkeypatch.setattr(checkouts.Checkout, "offer", meanwhile)
    offer(versions[1], github)
    assert git(github.server.folder, "rev-parse", f"{BRANCH}^") == before["main"] != heads(github)["main"]


def test_of_two_at_the_same_moment_the_second_overwrites_nothing(versions, github, tmp_path, monkeypatch):
    promote(versions[0], github)
    offer(versions[1], github)
    person(github, tmp_path, "note", "mine\n")
    real = checkouts.Checkout._run

    def meanwhile(delivery, command):
        if command[0] == "push":
            person(github, tmp_path, "other", "mine\n", BRANCH)
        return real(delivery, command)

    monkeypatch.setattr(checkouts.Checkout, "_run", meanwhile)
    with pytest.raises(DeliveryError, match=r"git push, .*rejected\].*stale info"):
        offer(versions[1], github)
    assert git(github.server.folder, "log", "-1", "--format=%s", BRANCH) == "other"


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_a_merge_puts_the_version_into_service_and_the_champion_follows(versions, github, tmp_path, how):
    promote(versions[0], github)
    offer(versions[1], github)
    merge(github, tmp_path, how)
    assert champion(TASK) == versions[0]
    catch_up(TASK, github.server.url)
    assert champion(TASK) == versions[1]
    asked = len(github.asked)
    assert offer(versions[1], github) == ""
    assert len(github.asked) == asked
    promoted = promote(versions[1], github)
    subject = git(github.server.folder, "log", "-1", "--format=%s", promoted)
    assert subject.removesuffix(" (#1)") == f"Promote {TASK} version 2 in dev"
    with checkout(github.server.url) as delivery:
        assert package_digest(delivery, "dev", TASK, "2") == versions[1].tags["package_digest"]
    assert roll_back(github.server.url, "dev", TASK) == "1"
    with pytest.raises(DeliveryError, match=r"was rolled back in dev.*--again"):
        offer(versions[1], github)
    assert offer(versions[1], github, again=True)


@pytest.mark.e2e
@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_a_canary_begins_when_it_is_merged(versions, github, tmp_path, monkeypatch, how):
    """A request waits for days, and the deadlines of the rollout must not have passed by then."""
    promote(versions[0], github)
    person(github, tmp_path, RULES, STEPS)
    days = ["2026-03-01T00:00:00 +0000", "2026-03-05T00:00:00 +0000"]
    monkeypatch.setenv("GIT_COMMITTER_DATE", days[0])
    offer(versions[1], github)
    assert github.made[0]["title"] == f"Open the rollout of {TASK} version 2 in dev"
    monkeypatch.setenv("GIT_COMMITTER_DATE", days[1])
    merge(github, tmp_path / "two", how)
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    with checkout(github.server.url) as delivery:
        rollout, _ = read_rollout(delivery, "dev", TASK)
    assert (rollout.canary, rollout.weights) == ("2", (0,))
    assert rollout.steps == (datetime(2026, 3, 5, tzinfo=UTC),)
    assert offer(versions[1], github) == ""


def finish(pulls) -> None:
    """The judge has had its say."""
    with checkout(pulls.server.url) as delivery:
        service = step.read_service(delivery, "dev", TASK)
        service.finish()
        delivery.change({folder_of("dev", TASK) / "inferenceservice.yaml": service.text}, "Finish")
        assert delivery.publish()


@pytest.mark.e2e
@pytest.mark.parametrize("rollouts", ["never", "from the beginning", "later", "finished"])
def test_what_went_into_service_meanwhile_conflicts(versions, github, tmp_path, rollouts):
    """Version 2 waits for its review, and version 3 overtakes it."""
    promote(versions[0], github)
    if rollouts in ("from the beginning", "finished"):
        person(github, tmp_path, RULES, STEPS)
    offer(versions[1], github)
    if rollouts == "later":
        person(github, tmp_path, RULES, STEPS)
    promote(versions[2], github)
    if rollouts == "finished":
        finish(github)
    with pytest.raises(CalledProcessError) as told:
        merge(github, tmp_path / "two", "merge")
    assert "CONFLICT (content): Merge conflict in environments/dev/authenticity" in told.value.stdout


@pytest.mark.e2e
def test_lines_of_ones_own_can_keep_a_canary_from_a_conflict(versions, github, tmp_path):
    """As the page says; the canary is then judged against version 3, which it was not held against before."""
    promote(versions[0], github)
    person(github, tmp_path, RULES, STEPS)
    path = folder_of("dev", TASK) / "inferenceservice.yaml"
    own = "    tolerations:\n    - key: inference\n      operator: Exists\n"
    person(github, tmp_path, str(path), git(github.server.folder, "show", f"main:{path}") + "\n" + own)
    offer(versions[1], github)
    promote(versions[2], github)
    finish(github)
    merge(github, tmp_path / "two", "merge")
    with checkout(github.server.url) as delivery:
        service = step.read_service(delivery, "dev", TASK)
    assert (service.stable.version, service.canary.version) == ("3", "2")


@pytest.mark.e2e
def test_a_first_rollout_yaml_does_not_conflict_but_asking_again_offers_a_canary(versions, github, tmp_path):
    promote(versions[0], github)
    offer(versions[1], github)
    person(github, tmp_path, RULES, STEPS)
    merge(github, tmp_path / "two", "merge")
    with checkout(github.server.url) as delivery:
        assert step.read_service(delivery, "dev", TASK).stable.version == "2"
    roll_back(github.server.url, "dev", TASK)
    offer(versions[1], github, again=True)
    subject = git(github.server.folder, "log", "-1", "--format=%s", BRANCH)
    assert subject == f"Open the rollout of {TASK} version 2 in dev"


def test_asking_again_finds_that_the_judgement_is_stale(versions, github):
    promote(versions[0], github)
    offer(versions[1], github)
    promote(versions[2], github)
    before = heads(github)
    with pytest.raises(DeliveryError, match=r"judged against version 1, but version 3 is in service now"):
        offer(versions[1], github)
    assert heads(github) == before


@pytest.mark.e2e
def test_a_rollback_in_the_environment_before_does_not_conflict_but_asking_again_is_refused(
    versions, github, tmp_path
):
    for environment in ("staging", "prod"):
        promote(versions[0], github, environment)
    promote(versions[1], github, "staging")
    offer(versions[1], github, "prod")
    roll_back(github.server.url, "staging", TASK)
    with pytest.raises(DeliveryError, match="does not serve in staging, which comes before prod"):
        offer(versions[1], github, "prod")
    merge(github, tmp_path, "merge", f"promote/prod/{TASK}-2")


def test_gitlab_opens_a_merge_request_for_the_push(versions, gitlab):
    promote(versions[0], gitlab)
    assert offer(versions[1], gitlab) == "http://localhost/team/delivery/-/merge_requests/7"
    title, _, body = git(gitlab.server.folder, "log", "-1", "--format=%B", BRANCH).partition("\n\n")
    assert (gitlab.server.folder / "options").read_text().splitlines() == [
        "merge_request.create",
        "merge_request.target=main",
        f"merge_request.title={title}",
        "merge_request.description=" + body.replace("\n", "\\n"),
    ]
    assert gitlab.asked == []


def test_gitlab_is_asked_again_by_another_push(versions, gitlab, monkeypatch):
    """It answers a push only, so the same change is committed once more."""
    promote(versions[0], gitlab)
    address = offer(versions[1], gitlab)
    (gitlab.server.folder / "options").unlink()
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2036-01-01T00:00:00 +0000")
    assert offer(versions[1], gitlab) == address
    assert "merge_request.create\n" in (gitlab.server.folder / "options").read_text()


def test_a_gitlab_that_names_no_request_is_told(versions, gitlab):
    promote(versions[0], gitlab)
    (gitlab.server.folder / "hooks" / "post-receive").write_text("#!/bin/sh\necho 'User is required'\n")
    new = rf"{gitlab.server.url.removesuffix('.git')}/-/merge_requests/new\?"
    with pytest.raises(DeliveryError, match=rf"User is required.* is pushed, so open .* by hand: {new}"):
        offer(versions[1], gitlab)
    assert BRANCH in heads(gitlab)


def test_a_server_that_takes_no_options_gets_no_branch(versions, gitlab):
    promote(versions[0], gitlab)
    git(gitlab.server.folder, "config", "receive.advertisePushOptions", "false")
    with pytest.raises(DeliveryError, match=r"git push, http.*does not support push options"):
        offer(versions[1], gitlab)
    assert BRANCH not in heads(gitlab)


def test_without_a_password_the_branch_is_pushed_and_a_person_can_go_on(versions, github, monkeypatch):
    promote(versions[0], github)
    github.trouble = 403, b'{"message": "Resource not accessible by personal access token"}'
    page = f"{github.server.url.removesuffix('.git')}/compare/main...{BRANCH}"
    said = rf"403: Resource not accessible.*; the branch {BRANCH} is pushed, so open .* by hand: {page}$"
    with pytest.raises(DeliveryError, match=said) as told:
        offer(versions[1], github)
    assert TOKEN not in str(told.value)
    before = heads(github)
    assert BRANCH in before
    github.trouble = None
    assert offer(versions[1], github)
    assert heads(github) == before


def test_the_host_is_shown_what_the_push_showed_and_no_password_of_the_folder_around(
    versions, github, tmp_path, monkeypatch
):
    """As in CI, where actions/checkout leaves a header with a token for its own repository."""
    promote(versions[0], github)
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "credential.helper")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"!printf 'username=bonafide\\npassword={TOKEN}\\n'; :")
    around = tmp_path / "around"
    around.mkdir()
    git(around, "init", "--quiet")
    header = f"http.{github.server.url.removesuffix('team/delivery.git')}.extraheader"
    git(around, "config", header, "AUTHORIZATION: basic eDpvdGhlcg==")
    monkeypatch.chdir(around)
    assert offer(versions[1], github) == f"{github.server.url.removesuffix('.git')}/pull/1"


def test_an_empty_repository_has_nothing_to_merge_into(versions, github):
    with pytest.raises(DeliveryError, match="has no branch main that a request could be merged into; push"):
        offer(versions[0], github)
    assert heads(github) == {}


def test_the_command_prints_the_address_or_that_the_version_is_there(versions, github):
    promote(versions[0], github)

    def said(*words):
        result = CliRunner().invoke(app, ["promote", *words, "--pull-request"])
        assert result.exit_code == 0, result.output
        return result.output

    address = f"{github.server.url.removesuffix('.git')}/pull/1"
    assert said("2", "--env", "dev") == f"{TASK} version 2 is offered to dev: {address}\n"
    assert said("1") == f"{TASK} version 1 is in dev already; bonafide status shows its share\n"


def test_in_a_folder_nothing_is_offered_nor_made(versions, tmp_path):
    with pytest.raises(DeliveryError, match="is a folder, where nobody is asked"):
        offer_version(TASK, "1", str(tmp_path / "delivery"), "dev")
    assert not (tmp_path / "delivery").exists()
