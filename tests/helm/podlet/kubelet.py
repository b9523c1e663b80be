"""Pods, Deployments, jobs and Services of rendered manifests, run on this machine."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.helm.chart import Manifest, containers, of_kind, selects
from tests.helm.podlet.bundle import Container
from tests.helm.podlet.image import Image, run
from tests.helm.podlet.network import Network, relay
from tests.helm.podlet.volumes import Secrets, prepare

PATIENCE = 120.0
HOOK = "helm.sh/hook"
_numbers = itertools.count()


@dataclass
class Pod:
    """A pod of one template, on an address of its own."""

    name: str
    template: Manifest
    address: str
    folder: Path
    namespace: str
    ready: bool = False
    process: asyncio.subprocess.Process | None = None
    hosts: Path = Path()
    volumes: dict[str, Path] = field(default_factory=dict)
    roots: list[Path] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        return self.template["metadata"]["labels"]

    @property
    def log(self) -> str:
        return "".join(
            each.read_text(errors="replace") for each in sorted(self.folder.glob("*.log"))
        )


class Kubelet:
    """What runs; `secrets` are those that exist, and also stand for ConfigMaps."""

    def __init__(self, image: Image, folder: Path, secrets: Secrets) -> None:
        self.image = image
        self.secrets = secrets
        self.network = Network()
        self.pods: list[Pod] = []
        self.names: dict[str, str] = {}
        self.ended: list[Pod] = []
        self._folder = folder
        self._deployed: dict[str, Manifest] = {}
        self._services: dict[str, Manifest] = {}
        self._stack = AsyncExitStack()
        self._runc = ["runc", "--root", str(folder / "runc")]

    async def __aenter__(self) -> Self:
        self.network.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(self._end(pod, grace=1) for pod in self.pods))
        await self._stack.aclose()
        self.network.close()

    # ------------------------------------------------------------ a release
    async def install(self, manifests: list[Manifest]) -> None:
        """Run the hooks of an installation or an upgrade, then bring all to what is rendered."""
        hooks = [each for each in manifests if "pre-upgrade" in hook_of(each)]
        for each in sorted(hooks, key=lambda hook: int(_notes(hook)["helm.sh/hook-weight"])):
            await self.complete(each)
        for name, service in of_kind(manifests, "Service").items():
            if name not in self._services and service["spec"].get("clusterIP") != "None":
                await self._serve(service)
                self._services[name] = service
        deployments = of_kind(manifests, "Deployment")
        await asyncio.gather(*(self._deploy(name, each) for name, each in deployments.items()))

    async def complete(self, manifest: Manifest) -> Pod:
        """Run a job, or a pod that ends, to its end; it has to succeed."""
        template = manifest["spec"]["template"] if manifest["kind"] == "Job" else manifest
        pod = self._make(manifest["metadata"]["name"], template)
        try:
            for spec in containers(template):
                process = await self._start(pod, spec)
                code = await asyncio.wait_for(process.wait(), PATIENCE)
                assert code == 0, f"{pod.name}/{spec['name']} ended with {code}:\n{pod.log}"
        finally:
            await self._end(pod, grace=1)
        return pod

    async def _deploy(self, name: str, manifest: Manifest) -> None:
        """Replace the pods of a Deployment by those of another template, as its strategy says."""
        before = self._deployed.get(name)
        self._deployed[name] = manifest
        if before == manifest:
            return
        spec = manifest["spec"]
        old = [
            pod
            for pod in self.pods
            if pod.labels.items() >= spec["selector"]["matchLabels"].items()
        ]
        ending = []
        if spec["strategy"]["type"] == "Recreate":
            await asyncio.gather(*map(self._end, old))
            old = []
        for _ in range(spec["replicas"]):
            pod = self._make(name, spec["template"])
            self.pods.append(pod)
            pod.process = await self._start(pod, containers(spec["template"])[0])
            await self._until_ready(pod)
            if before is not None:
                await asyncio.sleep(spec["minReadySeconds"])
                assert pod.ready
            ending += [asyncio.create_task(self._end(old.pop()))] if old else []
        await asyncio.gather(*ending, *map(self._end, old))

    # ------------------------------------------------------------ a pod
    def _make(self, name: str, template: Manifest) -> Pod:
        folder = self._folder / f"{name}-{next(_numbers)}"
        folder.mkdir()
        address = self.network.address()
        pod = Pod(folder.name, template, address, folder, self.network.join(address))
        group = template["spec"]["securityContext"]["fsGroup"]
        for volume in template["spec"].get("volumes", []):
            pod.volumes[volume["name"]] = prepare(
                volume, folder / "volumes", self.secrets, self._folder / "claims", group
            )
        pod.hosts = folder / "hosts"
        known = {"localhost": "127.0.0.1", **self.names}
        pod.hosts.write_text("".join(f"{each}\t{host}\n" for host, each in known.items()))
        return pod

    async def _start(self, pod: Pod, spec: dict[str, Any]) -> asyncio.subprocess.Process:
        bundle = pod.folder / spec["name"]
        for each in ("upper", "work", "root"):
            (bundle / each).mkdir(parents=True)
        layers = f"lowerdir={self.image.root},upperdir={bundle / 'upper'},workdir={bundle / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", layers, str(bundle / "root")])
        pod.roots.append(bundle / "root")
        container = Container(
            spec=spec,
            pod=pod.template["spec"]["securityContext"],
            image=self.image.config,
            root=bundle / "root",
            network=f"/var/run/netns/{pod.namespace}",
            environment=self._environment(spec),
            mounts=[
                ("/etc/hosts", pod.hosts, True),
                *(
                    (each["mountPath"], pod.volumes[each["name"]], each.get("readOnly", False))
                    for each in spec.get("volumeMounts", [])
                ),
            ],
        )
        (bundle / "config.json").write_text(json.dumps(container.written()))
        with (pod.folder / f"{len(pod.roots)}-{spec['name']}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *self._runc, "run", "--bundle", str(bundle), f"{pod.name}-{spec['name']}",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _environment(self, spec: dict[str, Any]) -> dict[str, str]:
        found = {}
        for each in spec.get("env", []):
            reference = each.get("valueFrom", {}).get("secretKeyRef")
            given = (
                self.secrets[reference["name"]][reference["key"]] if reference else each["value"]
            )
            found[each["name"]] = given if reference else given.replace("$$(", "$(")
        return found

    async def _until_ready(self, pod: Pod) -> None:
        """Probe it as its probes say: by its address, under a host name that it does not know."""
        container = containers(pod.template)[0]
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(trust_env=False, timeout=5) as client,
        ):
            for kind in ("startup", "readiness", "liveness"):
                probe = container.get(f"{kind}Probe", {}).get("httpGet")
                while probe and not await self._answers(client, pod, container, probe):
                    ended = pod.process is None or pod.process.returncode is not None
                    assert not ended, f"{pod.name} ended:\n{pod.log}"
                    await asyncio.sleep(0.2)
        pod.ready = True

    async def _answers(
        self, client: httpx.AsyncClient, pod: Pod, container: dict[str, Any], probe: dict[str, Any]
    ) -> bool:
        port = _port(container, probe["port"])
        try:
            found = await client.get(f"http://{pod.address}:{port}{probe['path']}")
        except httpx.HTTPError:
            return False
        return found.is_success

    async def exec(self, component: str, *command: str) -> str:
        """Run a command in a ready pod of a component, as its process is confined."""
        pod = next(each for each in self.pods if _component(each) == component and each.ready)
        container = f"{pod.name}-{containers(pod.template)[0]['name']}"
        return await asyncio.to_thread(run, [*self._runc, "exec", container, *command])

    async def _end(self, pod: Pod, *, grace: float | None = None) -> None:
        """End it as a kubelet does: no more traffic, preStop, SIGTERM, and SIGKILL in the end."""
        pod.ready = False
        process, container = pod.process, containers(pod.template)[0]
        allowed = grace or pod.template["spec"].get("terminationGracePeriodSeconds", 30)
        if process is not None and process.returncode is None:
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            await asyncio.sleep(pause.get("seconds", 0) if grace is None else 0)
            process.send_signal(signal.SIGTERM)  # runc hands it on
            try:
                await asyncio.wait_for(process.wait(), allowed)
            except TimeoutError:
                name = f"{pod.name}-{container['name']}"
                await asyncio.to_thread(run, [*self._runc, "delete", "--force", name])
                await process.wait()
        for root in pod.roots:
            run(["umount", "--lazy", str(root)])
            shutil.rmtree(root.parent / "upper", ignore_errors=True)
        pod.roots.clear()
        self.network.leave(pod.namespace)
        if pod in self.pods:
            self.pods.remove(pod)
            self.ended.append(pod)

    # ------------------------------------------------------------ Services
    async def _serve(self, service: Manifest) -> None:
        """Give the Service an address; its connections go to ready pods in turn."""
        address = self.network.service_address()
        self.names[service["metadata"]["name"]] = address
        turn = itertools.count()
        for port in service["spec"]["ports"]:

            def target(port: dict[str, Any] = port) -> tuple[str, int] | None:
                selector = {"matchLabels": service["spec"]["selector"]}
                able = [pod for pod in self.pods if pod.ready and selects(selector, pod.labels)]
                if not able:
                    return None
                pod = able[next(turn) % len(able)]
                return pod.address, _port(containers(pod.template)[0], port["targetPort"])

            await self._stack.enter_async_context(relay(address, port["port"], target))


def _notes(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("annotations", {})


def hook_of(manifest: Manifest) -> str:
    """When helm runs it apart from the others; an empty text if it does not."""
    return _notes(manifest).get(HOOK, "")


def _component(pod: Pod) -> str:
    return pod.labels["app.kubernetes.io/component"]


def _port(container: dict[str, Any], name: str) -> int:
    return next(each["containerPort"] for each in container["ports"] if each["name"] == name)
