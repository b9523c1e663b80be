"""A container as runc takes it: the context of a pod's container, in the words of the OCI runtime.

What containerd does for a pod with `RuntimeDefault` is done here: its masks, its profile of system
calls, its memory limit.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helm.podlet.image import SECCOMP

MASKED = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
]  # fmt: skip
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
UNITS = {"Mi": 2**20, "Gi": 2**30}


@dataclass
class Container:
    """One container of a pod.

    Attributes:
        spec: As the pod's template has it.
        pod: The security context of the pod.
        image: The `config` of the image.
        root: Its root file system.
        network: The path of its network namespace.
        environment: Its variables, resolved.
        mounts: Each path with the folder or file that is there, and whether it is read-only.
    """

    spec: dict[str, Any]
    pod: dict[str, Any]
    image: dict[str, Any]
    root: Path
    network: str
    environment: dict[str, str] = field(default_factory=dict)
    mounts: list[tuple[str, Path, bool]] = field(default_factory=list)

    def written(self) -> dict[str, Any]:
        """The `config.json` of its bundle."""
        context = {**self.pod, **self.spec.get("securityContext", {})}
        assert context["runAsUser"] != 0 or not context.get("runAsNonRoot")
        command = self.spec.get("command") or self.image.get("Entrypoint", [])
        arguments = self.spec.get("args", [])
        variables = dict(each.split("=", 1) for each in self.image.get("Env", []))
        variables |= self.environment
        dropped = context.get("capabilities", {}).get("drop", [])
        assert dropped == ["ALL"], "this kubelet gives no capabilities"
        kinds = ("pid", "ipc", "uts", "mount")
        limit = self.spec["resources"]["limits"]["memory"]
        return {
            "ociVersion": "1.0.2",
            "hostname": "pod",
            "process": {
                "user": {
                    "uid": context["runAsUser"],
                    "gid": context["runAsGroup"],
                    "additionalGids": [context["fsGroup"]],
                },
                "args": [*command, *arguments],
                "cwd": self.image.get("WorkingDir", "/"),
                "env": [f"{name}={value}" for name, value in variables.items()],
                "noNewPrivileges": not context.get("allowPrivilegeEscalation", True),
                "capabilities": {},
            },
            "root": {"path": str(self.root), "readonly": context["readOnlyRootFilesystem"]},
            "mounts": [*_base_mounts(), *map(_bound, self.mounts)],
            "linux": {
                "namespaces": [
                    *({"type": kind} for kind in kinds),
                    {"type": "network", "path": self.network},
                ],
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
                "resources": {"memory": {"limit": int(limit[:-2]) * UNITS[limit[-2:]]}},
                "seccomp": _profile(context["seccompProfile"]["type"]),
            },
        }


def _base_mounts() -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/shm",  # noqa: S108  # the container's own
            "type": "tmpfs",
            "source": "shm",
            "options": [*quiet, "mode=1777", "size=65536k"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]},
    ]


def _bound(mount: tuple[str, Path, bool]) -> dict[str, Any]:
    path, source, read_only = mount
    options = ["rbind", "rprivate", "ro" if read_only else "rw"]
    return {"destination": path, "type": "bind", "source": str(source), "options": options}


def _profile(kind: str) -> dict[str, Any]:
    """The default profile of container engines, without what only capabilities allow."""
    assert kind == "RuntimeDefault"
    given = json.loads(SECCOMP.read_text())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    calls = []
    for each in given["syscalls"]:
        if each.get("includes", {}).get("caps"):
            continue
        arches = each.get("includes", {}).get("arches", [machine])
        if machine not in arches or machine in each.get("excludes", {}).get("arches", []):
            continue
        call = {"names": each["names"], "action": each["action"]}
        if each.get("args"):
            call["args"] = each["args"]
        if "errnoRet" in each:
            call["errnoRet"] = each["errnoRet"]
        calls.append(call)
    main = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}[machine]
    return {
        "defaultAction": given["defaultAction"],
        "defaultErrnoRet": given.get("defaultErrnoRet", 1),
        "architectures": [main],
        "syscalls": calls,
    }
