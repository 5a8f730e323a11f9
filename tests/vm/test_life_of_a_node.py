"""The life of one node, from the installation of the package to its purge. Each test goes on where the one before ended
(conftest.py), and each that does something to the agent shows that no container noticed."""

import os
import re

import identity
from cluster import HOST_OF_MACHINES
from manifests import container
from objects import config_map
from payload import UPGRADE, Payload
from workloads import secret, workload

NAMESPACE = "node-services"
PODS = 3
TOKEN = "var/run/secrets/kubernetes.io/serviceaccount/token"
WATCHDOG_SECONDS = 15  # in place of the unit's minutes
# Lines that the agent logs as errors in this life, because of what is done to it here.
EXPECTED_ERRORS = (rf"^daemonsetd\.service: Watchdog timeout \(limit {WATCHDOG_SECONDS}s\)!$",)  # of test_watchdog


def test_the_machine_boots_as_a_node_does(node, payload):
    """Debian's kernel, systemd as the first process, the unified hierarchy of control groups alone."""
    machine = node.machine
    assert machine.run("cat /proc/1/comm").strip() == "systemd"
    assert machine.run("stat -f -c %T /sys/fs/cgroup").strip() == "cgroup2fs"
    assert machine.run("systemctl --failed --no-legend --plain") == ""
    machine.run("mkdir /root/payload && tar -C /root/payload -xf /dev/vdb")
    machine.run("for image in /root/payload/images/*; do ctr --namespace k8s.io images import $image || exit 1; done")
    assert machine.run("ctr --namespace k8s.io images ls --quiet | grep -c daemonsetd").strip() == "2"


def test_the_package_installs_and_the_service_starts(node, payload):
    install(node, Payload.DEB)
    assert version(node) == payload.version
    assert [node.service(key) for key in ("ActiveState", "UnitFileState", "NRestarts")] == ["active", "enabled", "0"]
    node.machine.wait_until("systemctl status daemonsetd | grep -F 'container runtime connected'",
                            "`systemctl status` tells how the agent does")
    assert node.service("StatusText").startswith("0/0 pods ready; container runtime connected")
    assert node.cluster.get("/api/v1/nodes")["items"] == [], "nothing is told to a cluster unasked"


def test_what_the_sandbox_exposes(node):
    """The figure is systemd's own; 4.7 as shipped, most of it for the mount namespace that it cannot have."""
    last = node.machine.run("systemd-analyze security --no-pager daemonsetd.service | tail -n 1")
    figure = float(re.search(r"exposure level for daemonsetd.service: ([\d.]+)", last).group(1))
    print(f"systemd-analyze security: {figure}")
    assert figure < 5.0
    assert node.machine.run("systemd-analyze verify --man=no daemonsetd.service 2>&1") == ""


def test_it_joins_the_cluster(node):
    """With a bootstrap token; an administrator approves what the node asks for."""
    cluster, machine = node.cluster, node.machine
    machine.write("/root/ca.crt", cluster.pki.ca.read_text())
    machine.write("/root/token", identity.make_token(cluster, identity.BOOTSTRAP_GROUP), mode="0600")
    machine.run(f"(daemonsetctl join --server https://{HOST_OF_MACHINES}:{cluster.port} --ca-file /root/ca.crt"
                " --token-file /root/token; echo exit code $?) >/root/join.log 2>&1 &")
    requests = cluster.wait_for(lambda: [item["metadata"]["name"] for item in cluster.get(identity.REQUESTS)["items"]],
                                "the node asks for a certificate")
    cluster.kubectl("certificate", "approve", *requests)
    machine.wait_until("grep -x 'exit code 0' /root/join.log", "it has joined")
    machine.run("systemctl restart daemonsetd")
    node.wait_until_ready(0)


def test_daemon_sets_run(node):
    """On the host's network, and on the pods' own with every kind of volume that the agent itself makes: in memory they
    are mounts, which must come out of the unit's sandbox to be seen by containerd."""
    cluster = node.cluster
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("--namespace", NAMESPACE, "create", "rolebinding", "daemonsetd-node-objects",
                    "--clusterrole=daemonsetd-node-objects", "--group=daemonsetd:nodes")
    word = secret("word", word="sesame")
    word["metadata"]["namespace"] = NAMESPACE
    cluster.apply(word, config_map(NAMESPACE, "page", **{"index.html": "hello"}))
    web = container(
        script="trap exit TERM; httpd -f -p 80 -h /page & wait",  # a first process that ends when a shutdown asks it to
        volumeMounts=[{"name": name, "mountPath": f"/{name}"} for name in ("page", "word", "memory", "host")],
        readinessProbe={"httpGet": {"path": "/index.html", "port": 80}, "periodSeconds": 1},
        livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 5, "timeoutSeconds": 30})
    volumes = [{"name": "page", "configMap": {"name": "page"}}, {"name": "word", "secret": {"secretName": "word"}},
               {"name": "memory", "emptyDir": {"medium": "Memory"}}, {"name": "host", "hostPath": {"path": "/etc"}}]
    sets = [workload("host-agent"),
            workload("api-client", automountServiceAccountToken=True),
            workload("web", [web], hostNetwork=False, volumes=volumes)]
    for daemon_set in sets:
        daemon_set["metadata"]["namespace"] = NAMESPACE
    cluster.apply(*sets)
    node.wait_until_ready(PODS)
    cluster.kubectl("--namespace", NAMESPACE, "rollout", "status", "daemonset/web", "--timeout=60s")
    root = f"/proc/{node.process('web')}/root"
    assert node.machine.run(f"cat {root}/word/word {root}/host/hostname") == f"sesame{node.name}\n"
    assert node.machine.run(f"stat -f -c %T {root}/memory {root}/word").split() == ["tmpfs", "tmpfs"]
    assert node.machine.succeeds(f"test -s /proc/{node.process('api-client')}/root/{TOKEN}")
    assert node.service("StatusText") == f"{PODS}/{PODS} pods ready; container runtime connected; API server reachable"


def test_pods_are_not_in_the_control_group_of_the_unit(node):
    """PK-02. So whatever systemd ends with the unit, it is the agent alone."""
    assert groups_outside_of_the_unit(node) == len(node.running()) == 2 * PODS
    group = node.service("ControlGroup")
    assert node.machine.run(f"cat /sys/fs/cgroup{group}/cgroup.procs").split() == [str(node.main_pid())]


def test_reload(node):
    with node.nothing_restarts():
        before = node.main_pid()
        node.configure("20-labels", "nodeLabels: {example.com/rack: r7}")
        node.machine.run("systemctl reload daemonsetd")
        node.cluster.wait_for(lambda: labels(node).get("example.com/rack") == "r7", "the Node has its new label")
        assert node.main_pid() == before


def test_upgrade(node, payload):
    """What the administrator changed stays, the agent is another, the containers are the same."""
    node.machine.run("echo '# by hand' >>/etc/daemonsetd/config.yaml")
    with node.nothing_restarts():
        before = node.main_pid()
        install(node, Payload.UPGRADED_DEB)
        assert version(node) == payload.version + UPGRADE
        node.wait_for_another_agent(before)
    assert node.machine.run("tail -n 1 /etc/daemonsetd/config.yaml") == "# by hand\n"
    assert node.service("UnitFileState") == "enabled"


def test_kill_of_the_agent(node):
    with node.nothing_restarts():
        before, restarts = node.main_pid(), int(node.service("NRestarts"))
        node.machine.run(f"kill -KILL {before}")
        node.wait_for_another_agent(before)
        assert int(node.service("NRestarts")) == restarts + 1


def test_watchdog(node):
    """An agent that hangs is ended and started by systemd; one that gets on is left alone."""
    drop_in = "/run/systemd/system/daemonsetd.service.d/watchdog.conf"
    restart = "systemctl daemon-reload && systemctl restart daemonsetd"
    with node.nothing_restarts():
        before = node.main_pid()
        node.machine.write(drop_in, f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\n")
        node.machine.run(restart)
        node.wait_for_another_agent(before)
        before = node.main_pid()
        node.machine.run(f"sleep {WATCHDOG_SECONDS + 5}")  # what matters is systemd's clock
        assert node.main_pid() == before
        node.machine.run(f"kill -STOP {before}")
        node.wait_for_another_agent(before)
        assert f"Killing process {before}" in node.machine.run("journalctl -b -u daemonsetd _PID=1 --no-pager")
        before = node.main_pid()
        node.machine.run(f"rm -r {os.path.dirname(drop_in)} && {restart}")
        node.wait_for_another_agent(before)


def test_restart_of_containerd(node):
    with node.nothing_restarts():
        before, since = node.main_pid(), node.status()["runtime"]["since"]
        node.machine.run("systemctl restart containerd")
        node.wait_until_it_knows("the new containerd", lambda status: status["runtime"]["since"] != since)
        assert node.main_pid() == before


def test_reboot(node):
    before, pods = node.running(), uids(node)
    node.machine.reboot()
    node.wait_until_it_knows("the API server", lambda status: status["apiServer"] == "reachable")
    node.wait_until_ready(PODS)
    assert uids(node) == pods
    assert len(node.running()) == 2 * PODS and not set(node.running()) & set(before)


def test_power_cut_while_the_api_server_is_gone(node):
    """Pods run again from the checkpoint. When the server is back, all are its pods as they were, and what runs runs on."""
    pods = uids(node)
    node.machine.wait_until("ls /var/lib/daemonsetd/checkpoint/objects/TokenRequest_*", "the token is in the checkpoint")
    node.cluster.kill_apiserver()
    # CNI's library never syncs what it keeps of a sandbox, and when that is cut off, containerd cannot remove the
    # sandbox any more ("unexpected end of JSON input"). Nothing else is synced.
    node.machine.run("sync /var/lib/cni/results/* /var/lib/cni/networks/machine/*")
    node.machine.cut_power()
    node.machine.start()
    node.wait_until_it_knows("no API server", lambda status: status["apiServer"] != "reachable", pods=PODS)
    running = node.running()
    assert len(running) == 2 * PODS
    assert node.machine.succeeds(f"cat /proc/[0-9]*/root/{TOKEN}")
    assert node.machine.run("cat /proc/$(pidof httpd)/root/word/word") == "sesame"
    node.cluster.start_apiserver()
    node.wait_until_it_knows("the API server", lambda status: status["apiServer"] == "reachable")
    node.wait_until_ready(PODS)
    assert uids(node) == pods
    assert node.running() == running


def test_control_groups_by_systemd(node):
    """PK-04: where containerd has systemd make the control groups, which is what Kubernetes recommends."""
    node.machine.run("sed -i 's/SystemdCgroup = false/SystemdCgroup = true/' /etc/containerd/config.toml"
                     " && systemctl restart containerd")
    before = uids(node)
    node.cluster.kubectl("--namespace", NAMESPACE, "delete", "pods", "--all", "--wait=false")
    node.cluster.wait_for(lambda: not set(before.values()) & set(uids(node).values()), "the old pods are gone", 120)
    node.wait_until_ready(PODS)
    pod = r"/kubepods\.slice/(kubepods-(burstable|besteffort)\.slice/)?kubepods-(\w+-)?pod[0-9a-f_]+\.slice"
    assert groups_outside_of_the_unit(node, pod + r"/cri-containerd-[0-9a-f]{64}\.scope") == 2 * PODS
    assert [group for group in groups_of_pods(node) if not group.endswith(".slice")] == [], "of the pods of before"
    ends = {f"pod{uid.replace('-', '_')}.slice" for uid in uids(node).values()}
    assert {name.rsplit("-", 1)[1] for name in slices_of_pods(node)} == ends


def test_limits_of_a_pod_are_those_of_its_slice(node):
    """As systemd has them and as the kernel does; no slice stays when the pod is gone."""
    limited = workload("limited", [container(resources={"requests": {"cpu": "100m", "memory": "8Mi"},
                                                        "limits": {"cpu": "250m", "memory": "64Mi"}})])
    limited["metadata"]["namespace"] = NAMESPACE
    others = slices_of_pods(node)
    node.cluster.apply(limited)
    node.wait_until_ready(PODS + 1)
    name, = slices_of_pods(node) - others

    def shown(key):
        return node.machine.run(f"systemctl show {name} --property {key} --value").strip()

    assert (shown("MemoryMax"), shown("CPUQuotaPerSecUSec"), shown("CPUWeight")) == (str(64 << 20), "250ms", "4")
    files = node.machine.run(f"cd /sys/fs/cgroup{shown('ControlGroup')} && cat memory.max cpu.max cpu.weight")
    assert files.split() == [str(64 << 20), "25000", "100000", "4"]
    node.cluster.kubectl("--namespace", NAMESPACE, "delete", "daemonset", "limited")
    node.cluster.wait_for(lambda: slices_of_pods(node) == others, "the slice is gone", 120)
    assert [group for group in groups_of_pods(node) if name in group] == []
    node.wait_until_ready(PODS)


def test_removal_keeps_containers_configuration_and_state(node):
    """Who removes the package stops the agent, and that touches no container; it can be installed again."""
    with node.nothing_restarts():
        running = node.running()
        node.machine.run("apt-get remove --yes daemonsetd")
        assert node.machine.run("systemctl is-active daemonsetd", check=False).strip() == "inactive"
        assert not node.machine.succeeds("test -e /usr/sbin/daemonsetd")
        assert node.machine.run("tail -n 1 /etc/daemonsetd/config.yaml") == "# by hand\n"
        assert node.machine.succeeds("test -s /etc/daemonsetd/kubeconfig && ls /var/lib/daemonsetd/*")
        assert node.running() == running
        install(node, Payload.UPGRADED_DEB)
        node.wait_for_another_agent(0)


def test_nothing_is_left_of_pods(node):
    node.cluster.kubectl("--namespace", NAMESPACE, "delete", "daemonsets", "--all")
    node.cluster.wait_for(lambda: not node.pods(), "all pods are gone", 120)
    node.cluster.wait_for(lambda: not node.left_behind(), "nothing is left of them", 60)
    assert node.left_behind() == []


def test_no_error_was_logged(node):
    """In all boots, by systemd and by the agent, whose lines carry their priority."""
    journal = "journalctl -u daemonsetd --output cat --no-pager"
    assert "the container runtime answers again" in node.machine.run(f"{journal} --priority info")
    assert "the container runtime does not answer" in node.machine.run(f"{journal} --priority warning")
    errors = node.machine.run(f"{journal} --priority err").splitlines()
    assert [line for line in errors if not any(re.search(pattern, line) for pattern in EXPECTED_ERRORS)] == []


def test_purge(node):
    node.machine.run("apt-get purge --yes daemonsetd")
    paths = "/etc/daemonsetd /var/lib/daemonsetd /run/daemonsetd /usr/share/daemonsetd"
    assert node.machine.run(f"for path in {paths}; do [ ! -e $path ] || echo $path; done") == ""
    assert node.machine.run("systemctl list-unit-files --no-legend 'daemonsetd*'", check=False) == ""
    assert node.machine.run("systemctl --failed --no-legend --plain") == ""


def install(node, deb):
    node.machine.run(f"DEBIAN_FRONTEND=noninteractive apt-get install --yes /root/payload/{deb}", seconds=300)


def version(node):
    return node.machine.run("dpkg-query --show --showformat '${Version}' daemonsetd")


def labels(node):
    return node.cluster.get(f"/api/v1/nodes/{node.name}")["metadata"]["labels"]


def slices_of_pods(node):
    listed = node.machine.run("systemctl list-units --plain --no-legend --type slice 'kubepods-*pod*.slice'")
    return {line.split()[0] for line in listed.splitlines()}


def groups_of_pods(node):
    return [line for line in node.left_behind() if line.startswith("control group ")]


def uids(node):
    return {name: pod["metadata"]["uid"] for name, pod in node.pods().items()}


def groups_outside_of_the_unit(node, pattern="."):
    """How many containers and sandboxes are; one that is elsewhere than the pattern says fails."""
    groups = [node.machine.run(f"cat /proc/{process}/cgroup").strip() for process in node.running().values()]
    assert all(group.startswith("0::/") and re.search(pattern, group) for group in groups), groups
    return sum(node.service("ControlGroup") not in group for group in groups)
