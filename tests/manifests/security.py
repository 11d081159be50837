"""What Pod Security "restricted" asks of a pod, as Kubernetes lists it."""

from collections.abc import Iterator

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"}
HOST = ("hostNetwork", "hostPID", "hostIPC")


def violations(pod: dict) -> list[str]:
    """What a pod of this spec would be refused for; init containers are held to the same."""
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    return [*_pod(pod), *(found for container in containers for found in _container(container, pod))]


def _pod(pod: dict) -> Iterator[str]:
    yield from (name for name in HOST if pod.get(name))
    for volume in pod.get("volumes", []):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES | {"secret"}:
            yield f"volume {volume['name']}"


def _container(container: dict, pod: dict) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = pod.get("securityContext", {}) | own
    wrong = {
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
        "capabilities": own.get("capabilities", {}).get("drop") != ["ALL"]
        or not set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"},
        "privileged": own.get("privileged", False),
        "procMount": own.get("procMount", "Default") != "Default",
        "runAsNonRoot": both.get("runAsNonRoot") is not True,
        "runAsUser": both.get("runAsUser") == 0,
        "seccompProfile": both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
        "hostPort": any(port.get("hostPort") for port in container.get("ports", [])),
    }
    yield from (f"{container['name']}: {name}" for name, found in wrong.items() if found)
