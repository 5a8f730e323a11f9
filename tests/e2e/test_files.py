"""What containers find as files and names: subPaths, hosts file, hostname."""

import socket

from daemon import metric
from manifests import SLEEP, container, daemon_set

DATA = {"name": "data", "emptyDir": {}}
MOUNT = {"name": "data", "mountPath": "/data"}


def data_of(agent, owner):
    """The pod's volume, as the node sees it."""
    pod = agent.pods(owner)[0]
    return agent.pod_root / "pods" / pod["uid"] / "volumes" / "kubernetes.io~empty-dir" / "data"


def test_a_restart_takes_the_current_content_of_a_sub_path(agent):
    # VO-01: the file is replaced, as an update of a ConfigMap does it; each run copies what it sees.
    write = container("write", "echo 1 > /data/key", volumeMounts=[MOUNT])
    replace = ("n=$(cat /key); echo $n >> /data/seen; echo $((n + 1)) > /data/next; mv /data/next /data/key; "
               f"[ $n -ge 3 ] || exit 1; {SLEEP}")
    read = container("read", replace, volumeMounts=[MOUNT, {"name": "data", "mountPath": "/key", "subPath": "key"}])
    agent.config = {"crashLoopBackOff": {"initial": "100ms"}}
    agent.terminate()
    agent.start()
    agent.apply("sub.yaml", daemon_set("sub", [read], initContainers=[write], volumes=[DATA]))
    agent.wait_for(lambda: (agent.container("sub", "read") or {}).get("restartCount", 0) >= 2
                   and agent.pods_ready("sub"), "the third run")
    assert (data_of(agent, "sub") / "seen").read_text().split() == ["1", "2", "3"]


def test_a_sub_path_never_leads_out_of_its_volume(agent):
    link = container("link", "ln -s /etc /data/out", volumeMounts=[MOUNT])
    main = container(volumeMounts=[{"name": "data", "mountPath": "/x", "subPath": "out"}])
    agent.apply("out.yaml", daemon_set("out", [main], initContainers=[link], volumes=[DATA]))
    reason = "subPath out: a symbolic link on the way leads out of the volume"
    agent.wait_for(lambda: reason in (agent.container("out", "main") or {}).get("message", ""), "the reason")


def test_names_inside_the_pod(agent):
    show = "hostname > /data/hostname; cat /etc/hosts > /data/hosts; " + SLEEP
    agent.apply("names.yaml", daemon_set(
        "names", [container(script=show, volumeMounts=[MOUNT])], volumes=[DATA], hostNetwork=False, hostname="short",
        subdomain="sub", setHostnameAsFQDN=True, hostAliases=[{"ip": "192.0.2.7", "hostnames": ["alias", "other"]}]))
    pod = agent.wait_for(lambda: agent.pods_ready("names"), "names running")[0]
    data = data_of(agent, "names")
    agent.wait_for(lambda: (data / "hosts").is_file() and (data / "hosts").read_text().endswith("other\n"), "its files")
    name = "short.sub.default.svc.cluster.local"
    assert (data / "hostname").read_text() == f"{name}\n"
    assert f"{pod['podIp']}\t{name}\tshort\n" in (data / "hosts").read_text()
    assert "192.0.2.7\talias\tother\n" in (data / "hosts").read_text()


def test_a_class_that_the_node_does_not_have_is_named(agent):
    agent.apply("class.yaml", daemon_set("class", runtimeClassName="gvisor"))
    pod = agent.wait_for(lambda: [p for p in agent.pods("class") if "needs RuntimeClass gvisor" in p["message"]],
                         "its pod to name the class")[0]
    assert "runtimeClasses" in pod["message"] and pod["phase"] == "Pending"


def test_an_unsafe_sysctl_is_refused_by_name(agent):
    agent.apply("sysctl.yaml", daemon_set(
        "sysctl", hostNetwork=False, securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]}))
    forbidden = 'forbidden sysctl: "kernel.msgmax"'
    agent.wait_for(lambda: [p for p in agent.pods("sysctl") if forbidden in p["message"]], "its pod to name the sysctl")
    assert agent.container("sysctl", "main")["state"] == "Waiting"


def test_mounts_that_do_not_reach_the_runtime_are_told(make_daemon):  # VO-08
    agent = make_daemon().start(launcher=("unshare", "--mount", "--propagation", "private"))
    agent.wait_for(lambda: any("podRoot" in warning and "mount --make-rshared" in warning
                               for warning in agent.json("/v1/status").get("warnings", [])), "the warning")
    agent.terminate()
    agent.start()
    agent.wait_for(lambda: agent.json("/v1/status")["runtime"].get("version"), "the runtime asked")
    assert not agent.json("/v1/status").get("warnings")


def listen(path):
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def test_a_socket_that_was_replaced_under_a_pod_is_told(make_daemon):  # VO-04
    agent = make_daemon(config={"fileCheckFrequency": "500ms"}).start()
    path = agent.directory / "service.sock"
    volume = {"name": "service", "hostPath": {"path": str(path), "type": "Socket"}}
    user = container(volumeMounts=[{"name": "service", "mountPath": "/service.sock"}])
    asks = daemon_set("asks", [user], volumes=[volume])
    asks["spec"]["template"]["metadata"]["annotations"] = {"daemonsetd.dev/restart-on-replaced-socket": "true"}

    def stale():
        return metric(agent.get("/metrics")[1], "daemonsetd_stale_socket_mounts")

    with listen(path):
        agent.apply("tells.yaml", daemon_set("tells", [user], volumes=[volume]))
        agent.apply("asks.yaml", asks)
        first = {name: agent.wait_for(lambda: agent.pods_ready(name), name)[0]["uid"] for name in ("tells", "asks")}
        assert stale() == 0
    with listen(path):
        agent.wait_for(lambda: (agent.pods_ready("asks") or [{"uid": first["asks"]}])[0]["uid"] != first["asks"],
                       "the pod that asked for it to be replaced")
        agent.wait_for(lambda: stale() == 1, "the metric")
        assert agent.pods_ready("tells")[0]["uid"] == first["tells"]
        told = [e for e in agent.json("/v1/events")["items"] if e["reason"] == "StaleSocketMount"]
        assert sorted(e["objectName"].rsplit("-", 1)[0] for e in told) == ["asks", "tells"]
