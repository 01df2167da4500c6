"""The files of docs/guides/schedulers.md: right by their formats' schemas; run, on hosts that go."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from support_host_name import as_host

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "guides" / "schedulers.md").read_text()
BLOCK = re.compile(r"^```(?:sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {
    re.search(mark, block)[0]: block
    for block in BLOCK.findall(PAGE)
    for mark in (
        "worker.sh NAME",
        "kind: Job",
        "#SBATCH",
        "runs-on",
        "parallel --nonall",
        "hub init",
    )
    if re.search(mark, block)
}
ITEMS = ["a", "b", "c", "d"]
AGENT = """\
#!/bin/sh
git commit -q --allow-empty -m "Review $PRODIGY_ITEM_ID"
"""


def in_sight(text):
    """Return the lines of a file without comments: what a reader has to take in."""
    return [line for line in text.splitlines() if not re.match(r"#(?!!|SBATCH)|$", line)]


def test_each_file_is_a_dozen_lines_or_two():
    assert len(FILES) == 6
    for name, text in FILES.items():
        assert len(in_sight(text)) <= 24, name


def test_the_job_of_kubernetes_is_one():
    schema = json.loads((HERE / "kubernetes_job_1.32.json").read_text())
    jsonschema.validate(yaml.safe_load(FILES["kind: Job"]), schema)
    wrong = yaml.safe_load(FILES["kind: Job"].replace("backoffLimitPerIndex", "backoffPerIndex"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_the_workflow_of_github_is_one(tmp_path):
    file = tmp_path / "review.yml"

    def check(text):
        file.write_text(text)
        command = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done := check(FILES["runs-on"])).returncode == 0, done.stdout
    assert check(FILES["runs-on"].replace("timeout-minutes", "time-out")).returncode == 1
    if lint := shutil.which("actionlint"):
        file.write_text(FILES["runs-on"])
        subprocess.run([lint, "-no-color", str(file)], check=True)


class Cluster:
    """A repository with a job on a hub, and nodes that work on it and then are gone."""

    def __init__(self, repo, git, hub_url, new_host, agent=AGENT):
        self.repo, self.git, self.url, self.new_host = repo, git, hub_url, new_host
        for name, text in (("worker.sh", FILES["worker.sh NAME"]), ("agent.sh", agent)):
            (repo / name).write_text(text)
            (repo / name).chmod(0o755)
        git("add", ".", cwd=repo)
        git("commit", "-qm", "Worker and agent", cwd=repo)
        self.home = self.host("home")
        items = self.home.folder / "items.jsonl"
        items.write_text("".join(json.dumps({"id": name}) + "\n" for name in ITEMS))
        once = FILES["hub init"].replace("items.jsonl", str(items))
        self.home.sh(once, **self.known)

    @property
    def known(self):
        """What a scheduler passes on to each node."""
        return {"PRODIGY_HUB": self.url, "REPOSITORY": str(self.repo)}

    def host(self, name):
        host = self.new_host(name)
        (host.folder / "tmp").mkdir()
        return host

    def node(self, name, script, *arguments, **env):
        """Run a script on a node of its own, which is gone afterwards with all that it had."""
        host = self.host(name)
        known = self.known | {"TMPDIR": f"{host.folder}/tmp"} | env
        done = host.sh(script, *arguments, cwd=host.folder, **known)
        shutil.rmtree(host.folder)
        return done

    def show(self):
        self.home.run("hub", "sync", "--job", "review", **self.known)
        return self.home.ok("job", "show", "review", **self.known)

    def all_came_home(self, *names):
        """Whether all items are done, all branches where they were pushed to, all commits known."""
        assert self.show()["completed"] == len(ITEMS)
        events = self.home.run("events", "ls", "--job", "review", "--json").lines
        made = [event for event in events if event["type"] == "CommitCreated"]
        assert len({event["commit"] for event in made}) == len(made) == len(ITEMS)
        kept = self.git("for-each-ref", "--format=%(objectname)", "refs/heads", cwd=self.repo)
        assert {event["commit"] for event in made} <= set(kept.splitlines())


@pytest.fixture
def cluster(repo, git, hub_url, new_host):
    return Cluster(repo, git, hub_url, new_host)


def test_kubernetes(cluster):
    spec = yaml.safe_load(FILES["kind: Job"])["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (given,) = container["env"]
    shell, options = container["command"]
    assert (shell, given["name"]) == ("sh", "TMPDIR")
    assert given["value"] == container["volumeMounts"][0]["mountPath"]
    (script,) = container["args"]
    for index in "01":
        cluster.node(f"pod-{index}", f"set {options[:-1]}\n{script}", JOB_COMPLETION_INDEX=index)
    cluster.all_came_home()


def test_slurm(cluster):
    for task in "12":
        ids = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": task, "SLURM_JOB_ID": f"7{task}"}
        cluster.node(f"node-{task}", FILES["#SBATCH"], **ids)
    cluster.all_came_home()


def test_github_actions(cluster):
    job = yaml.safe_load(FILES["runs-on"])["jobs"]["work"]
    *_, step = job["steps"]
    assert step["env"].keys() == {"PRODIGY_HUB", "PGPASSWORD"}
    for worker in job["strategy"]["matrix"]["worker"][:2]:
        script = step["run"].replace("${{ matrix.worker }}", str(worker))
        # The step before has checked out, into the folder that this one is run in.
        cluster.node(f"runner-{worker}", f'git clone -q "$REPOSITORY" c && cd c\n{script}')
    cluster.all_came_home()


SSH = """\
#!/bin/sh
# ssh, as GNU parallel calls it: options, the host, the command as one line of shell.
while :; do case $1 in -*) shift ;; *) break ;; esac; done
host=$1; shift; [ "$1" != -- ] || shift
cd "$HOSTS/$host" && exec env -i PATH="$PATH" LC_ALL=C.UTF-8 TZ=UTC SHELL=/bin/sh \\
    PYTHONPATH="$PYTHONPATH" \\
    HOME="$HOSTS/$host/home" GIT_CONFIG_GLOBAL="$HOSTS/$host/home/.gitconfig" GIT_CONFIG_NOSYSTEM=1 \\
    TMPDIR="$HOSTS/$host/tmp" PRODIGY_RECORD=wait {as_host} "$host" sh -c "$*"
"""


def gnu_parallel():
    found = shutil.which("parallel")
    said = found and subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    return bool(said and said.startswith("GNU parallel"))


@pytest.mark.skipif(not gnu_parallel(), reason="GNU parallel is missing: apt-get install parallel")
def test_gnu_parallel_over_ssh(cluster, tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.replace("{as_host}", " ".join(as_host("")[:-1])))
    ssh.chmod(0o755)
    names = ["one", "two"]
    for name in names:
        cluster.host(name)
    home = cluster.home
    (home.folder / "hosts.txt").write_text("".join(f"{name}\n" for name in names))
    script = re.sub(r"^export .*", "", FILES["parallel --nonall"], flags=re.MULTILINE)
    host = {"PARALLEL_SSH": str(ssh), "HOSTS": str(home.folder.parent), "SHELL": "/bin/sh"}
    home.sh(script, cwd=home.folder, **host, **cluster.known)
    for name in names:
        assert list((tmp_path / "hosts" / name / "tmp").iterdir()) == []
    cluster.all_came_home()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
def test_a_node_that_is_told_to_go_gives_its_item_back(
    repo, git, hub_url, new_host, tmp_path, told
):
    waiting = tmp_path / "waiting"
    os.mkfifo(waiting)
    agent = (
        f'#!/bin/sh\ngit commit -q --allow-empty -m One\necho here >"{waiting}"\nexec sleep 1000\n'
    )
    cluster = Cluster(repo, git, hub_url, new_host, agent)
    node = cluster.host("node")
    script = 'git clone -q "$REPOSITORY" c && cd c && exec ./worker.sh 1'
    worker = subprocess.Popen(
        [*as_host("node"), "sh", "-ec", script], cwd=node.folder, stdin=subprocess.DEVNULL,
        env=node.environment(TMPDIR=f"{node.folder}/tmp", **cluster.known),
    )  # fmt: skip
    assert waiting.read_text() == "here\n"
    assert cluster.show()["in_progress"] == 1
    worker.send_signal(told)
    assert worker.wait(120) == 128 + signal.SIGTERM
    shutil.rmtree(node.folder)
    shown = cluster.show()
    assert (shown["pending"], shown["in_progress"]) == (len(ITEMS), 0)
    events = cluster.home.run("events", "ls", "--job", "review", "--json").lines
    (made,) = [event for event in events if event["type"] == "CommitCreated"]
    assert made["commit"] in git("for-each-ref", "--format=%(objectname)", cwd=repo)


def test_the_scripts_are_shell():
    for name in ("worker.sh NAME", "#SBATCH", "parallel --nonall", "hub init"):
        subprocess.run(["sh", "-n"], input=FILES[name], text=True, check=True)
