"""What users of other charts complain of, and that it does not happen here.

Each test names the complaint and where it was made.
"""

from __future__ import annotations

import itertools
import re

import pytest
import yaml

from tests.helm.chart import (
    CHART,
    EXAMPLES,
    Refused,
    changed,
    containers,
    example,
    of_kind,
    pods,
    render,
    rendered,
    selects,
    template,
    variables,
)

NAMES = [path.stem for path in EXAMPLES]
SERVING = ("api", "gateway")
HOOK = "helm.sh/hook"
CHANGING = ("lookup", "rand", "uuidv4", "gen", "htpasswd", "bcrypt", "now", "derivePassword")
"""Beginnings of functions of templates whose results are others each time."""


def test_1_the_schema_is_there_before_new_pods_start() -> None:
    """temporalio/helm-charts 890: job and pods start together, and the pods crash for hours."""
    jobs = of_kind(rendered("production"), "Job")
    assert set(jobs) == {"migrate", "prefect-migrate"}
    for job in jobs.values():
        assert job["metadata"]["annotations"][HOOK] == "pre-install,pre-upgrade"
    _, pod = next(each for each in pods(rendered("production")) if each[0] == "migrate")
    assert [each["args"] for each in containers(pod)] == [["migrate"], ["content", "load"]]
    later = render(changed(example(), {"migrate": {"contract": True, "loadContent": False}}))
    _, pod = next(each for each in pods(later) if each[0] == "migrate")
    assert [each["args"] for each in containers(pod)] == [["migrate", "--contract"]]
    deployments = of_kind(rendered("production"), "Deployment")
    prefect = containers(deployments["prefect-api"]["spec"]["template"])[0]
    assert variables(prefect)["PREFECT_SERVER_DATABASE_MIGRATE_ON_START"] == "false"


def test_2_what_holds_no_state_scales_by_itself() -> None:
    """temporalio/helm-charts 911, 605: no autoscaling."""
    found = of_kind(rendered("production"), "HorizontalPodAutoscaler")
    assert set(found) == {"api", "gateway"}
    other = {"autoscaling": {"enabled": True}}
    more = render(changed(example("production"), {"centralWorker": other, "prefectApi": other}))
    assert {"central-worker", "prefect-api"} < set(of_kind(more, "HorizontalPodAutoscaler"))


@pytest.mark.parametrize("name", NAMES)
def test_3_an_old_pod_goes_when_a_new_one_has_been_ready(name: str) -> None:
    """temporalio/helm-charts 733: pods are replaced too quickly, and callers get errors."""
    for component, each in of_kind(rendered(name), "Deployment").items():
        spec = each["spec"]
        assert spec["minReadySeconds"] > 0
        if component != "sealer":  # one volume has one writer
            assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        container = containers(spec["template"])[0]
        grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
        if component in SERVING:  # they are unready, and answer, for so long
            assert grace >= float(variables(container)["COE_DRAIN_DELAY_SECONDS"]) + 30 > 30
        if component == "prefect-api":
            assert grace >= container["lifecycle"]["preStop"]["sleep"]["seconds"] + 10


def test_4_a_budget_is_there_where_there_is_more_than_one_pod() -> None:
    """temporalio/helm-charts 930: a budget of one pod blocks the node for ever."""
    one = {"replicas": 1}
    found = render(changed(example(), {"api": one, "loops": {"replicas": 3}}))
    assert set(of_kind(found, "PodDisruptionBudget")) == {"gateway", "central-worker", "loops"}
    for each in of_kind(rendered("production"), "PodDisruptionBudget").values():
        assert ("maxUnavailable" in each["spec"]) != ("minAvailable" in each["spec"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service", "Deployment"])
def test_5_two_selectors_never_select_the_same_pod(name: str, kind: str) -> None:
    """prefect-helm 643: budgets of several workers overlap, and no pod can be evicted."""
    found = of_kind(rendered(name), kind)
    for pod_name, pod in pods(rendered(name)):
        labels = pod["metadata"]["labels"]
        selecting = []
        for each_name, each in found.items():
            selector = each["spec"]["selector"]
            selector = selector if kind != "Service" else {"matchLabels": selector}
            if selects(selector, labels):
                selecting.append(each_name.removesuffix("-metrics"))
        assert set(selecting) <= {pod_name}
        if kind == "Deployment" and pod_name in found:
            assert selecting == [pod_name]


@pytest.mark.parametrize(
    "change", [{"replicas": 2}, {"autoscaling": {"enabled": True}}], ids=["replicas", "scaling"]
)
def test_6_several_servers_of_prefect_need_redis(change: dict[str, object]) -> None:
    """prefect-helm 512: services are apart and have no broker, so events are lost."""
    with pytest.raises(Refused, match="more than one server needs Redis"):
        render(changed(example("keda"), {"prefectApi": change}))
    found = of_kind(rendered("production"), "Deployment")
    given = variables(containers(found["prefect-services"]["spec"]["template"])[0])
    assert given["PREFECT_SERVER_EVENTS_MESSAGING_BROKER"] == "prefect_redis.messaging"
    assert given["PREFECT_SERVER_DOCKET_URL"] == {
        "secretKeyRef": {"name": "prefect-redis", "key": "docket-url"}
    }


def test_7_services_of_prefect_run_once_and_where_there_is_a_broker() -> None:
    """prefect-helm 551, 452: services are pinned to one replica, or run in each server."""
    apart = of_kind(rendered("production"), "Deployment")
    assert "--no-services" in containers(apart["prefect-api"]["spec"]["template"])[0]["args"]
    assert apart["prefect-services"]["spec"]["replicas"] == 1
    two = render(changed(example("production"), {"prefectServices": {"replicas": 2}}))
    assert of_kind(two, "Deployment")["prefect-services"]["spec"]["replicas"] == 2
    together = of_kind(rendered("keda"), "Deployment")
    assert "prefect-services" not in together
    assert "--no-services" not in containers(together["prefect-api"]["spec"]["template"])[0]["args"]


@pytest.mark.parametrize("name", NAMES)
def test_8_no_secret_is_a_value_of_a_variable(name: str) -> None:
    """prefect-helm 442: the auth string stands in clear in the environment of pods."""
    secret = re.compile(r"URL$|AUTH|TOKEN|PASSWORD|ENCRYPTION|SECRET|_KEY$")
    plain = {"COE_PREFECT_URL", "COE_PUBLIC_URL", "PREFECT_API_URL"}
    for _, pod in pods(rendered(name)):
        for container in containers(pod):
            for variable, value in variables(container).items():
                if variable.endswith("_FILE"):
                    assert value.startswith("/run/")
                elif secret.search(variable) and variable not in plain:
                    assert list(value) == ["secretKeyRef"], variable
    assert not of_kind(rendered(name), "Secret")


def test_9_every_field_of_a_security_context_may_be_set() -> None:
    """temporalio/helm-charts 619: the schema refuses valid fields of Kubernetes."""
    context = {"seLinuxOptions": {"level": "s0:c1,c2"}, "procMount": "Default", "runAsUser": 1}
    found = render(changed(example(), {"api": {"securityContext": context}}))
    deployments = of_kind(found, "Deployment")
    assert containers(deployments["api"]["spec"]["template"])[0]["securityContext"] == context
    other = containers(deployments["gateway"]["spec"]["template"])[0]["securityContext"]
    assert other["readOnlyRootFilesystem"] is True


def test_10_an_umbrella_chart_may_set_global_and_nothing_else() -> None:
    """traefik 1439, cert-manager/helm-tool 46: a closed schema refuses `global`."""
    assert render(changed(example(), {"global": {"anything": {"at": ["all"]}}}))
    for wrong in ({"apis": {}}, {"api": {"replica": 1}}, {"image": {"name": "x"}}):
        with pytest.raises(Refused, match="additional properties"):
            render(changed(example(), wrong))


@pytest.mark.parametrize("name", NAMES)
def test_11_nothing_waits_for_what_runs_after_it(name: str) -> None:
    """apache/airflow 18172: a hook after the installation never runs where helm waits for pods."""
    for each in rendered(name):
        hooks = each["metadata"].get("annotations", {}).get(HOOK, "")
        assert not set(hooks.split(",")) & {"post-install", "post-upgrade"}


def test_12_the_first_hook_needs_nothing_of_the_release() -> None:
    """argoproj/argo-cd 7536: at first no Secret or account of the chart is there."""
    made = {(each["kind"], each["metadata"]["name"]) for each in rendered("production")}
    for job in of_kind(rendered("production"), "Job").values():
        spec = job["spec"]["template"]["spec"]
        assert "serviceAccountName" not in spec
        text = yaml.safe_dump(spec)
        assert "configMap" not in text
        assert not [name for kind, name in made if kind in {"ConfigMap", "Secret"} and name in text]
    jobs = of_kind(rendered("keda"), "Job")
    assert len(jobs) == 2
    for name, job in jobs.items():
        assert HOOK not in job["metadata"]["annotations"]
        assert job["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "-1"
        assert re.search(r"migrate-[0-9a-f]{8}$", name)  # a job cannot be changed
    newer = render(changed(example("keda"), {"image": {"tag": "9.9.9"}}))
    assert not set(jobs) & set(of_kind(newer, "Job"))


def test_13_the_chart_makes_no_secret_and_is_the_same_each_time() -> None:
    """camunda 309, 311: secrets are made anew at an upgrade, and logins break."""
    text = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    for function in CHANGING:
        assert not re.search(
            rf"\b{function}\w* ", re.sub(r"{{/\*.*?\*/}}", "", text, flags=re.DOTALL)
        )
    values = example("production")
    assert template(values) == template(values)


@pytest.mark.parametrize("name", NAMES)
def test_14_every_secret_that_a_pod_needs_is_named_in_the_values(name: str) -> None:
    """camunda 1846: a pod does not start, for it needs a key that nobody told of."""
    values = example(name)
    given = {(each["name"], each["key"]) for each in values["secrets"].values()}
    needed = set()
    for _, pod in pods(rendered(name)):
        for container in containers(pod):
            for value in variables(container).values():
                if isinstance(value, dict):
                    needed.add((value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]))
        for volume in pod["spec"].get("volumes", []):
            sources = volume.get("projected", {}).get("sources", [])
            for secret in [each["secret"] for each in sources]:
                needed |= {(secret["name"], item["key"]) for item in secret["items"]}
            if "secret" in volume:
                secret = volume["secret"]
                needed |= {(secret["secretName"], item["key"]) for item in secret["items"]}
            assert "configMap" not in volume
    assert needed == given


def test_15_the_chart_depends_on_no_other_chart_and_on_one_image() -> None:
    """bitnami/charts 35164: images of other charts are gone."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert "dependencies" not in chart
    assert not (CHART / "charts").exists()
    for name in NAMES:
        images = {each["image"] for _, pod in pods(rendered(name)) for each in containers(pod)}
        assert len(images) == 1


def test_16_a_worker_has_time_to_hand_its_runs_over() -> None:
    """apache/airflow 26587: scaling down kills tasks that run."""
    drain = {"config": {"COE_DRAIN_SECONDS": 120}}
    with pytest.raises(
        Refused, match=r"centralWorker.terminationGracePeriodSeconds: at least .* 130"
    ):
        render(changed(example(), {"centralWorker": drain}))
    longer = {"terminationGracePeriodSeconds": 130}
    found = render(changed(example(), {"centralWorker": drain | longer}))
    pod = of_kind(found, "Deployment")["central-worker"]["spec"]["template"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == 130
    scaled = render(changed(example(), {"centralWorker": {"autoscaling": {"enabled": True}}}))
    down = of_kind(scaled, "HorizontalPodAutoscaler")["central-worker"]["spec"]["behavior"]
    assert down["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_17_a_number_of_pods_is_not_rendered_where_another_decides() -> None:
    """helm 7090, pingidentity/helm-charts 276: each upgrade resets what the autoscaler chose."""
    found = of_kind(rendered("production"), "Deployment")
    assert {name for name, each in found.items() if "replicas" not in each["spec"]} == {
        "api",
        "gateway",
    }
    assert "replicas" not in of_kind(rendered("keda"), "Deployment")["central-worker"]["spec"]


def test_18_the_queue_is_read_from_prometheus_and_not_by_sql() -> None:
    """apache/airflow 32590, kedacore/keda 6955: a scaler with SQL breaks at a pooler."""
    scaled = next(each for each in rendered("keda") if each["kind"] == "ScaledObject")
    assert [each["type"] for each in scaled["spec"]["triggers"]] == ["prometheus"]
    target = scaled["spec"]["scaleTargetRef"]["name"]
    assert target.removeprefix("rel-coe-") in of_kind(rendered("keda"), "Deployment")


def test_19_a_selector_never_changes() -> None:
    """camunda ADR 34: a version in `matchLabels`, and the upgrade is refused."""
    newer = {"image": {"tag": "9.9.9"}, "defaults": {"podLabels": {"team": "x"}}}
    old, new = rendered(), render(changed(example(), newer))
    for name, each in of_kind(old, "Deployment").items():
        selector = each["spec"]["selector"]["matchLabels"]
        assert set(selector) == {
            f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")
        }
        assert of_kind(new, "Deployment")[name]["spec"]["selector"]["matchLabels"] == selector


@pytest.mark.parametrize("scope", ["all", "one"])
def test_20_a_changed_setting_rolls_the_pods(scope: str) -> None:
    """argoproj/argo-helm 2097: a ConfigMap changes, and the pods do not."""
    setting = {"config": {"COE_LOG_LEVEL": "DEBUG"}}
    new = render(changed(example(), setting if scope == "all" else {"loops": setting}))
    before, after = of_kind(rendered(), "Deployment"), of_kind(new, "Deployment")
    rolled = {name for name in before if before[name]["spec"] != after[name]["spec"]}
    assert rolled == (set(before) if scope == "all" else {"loops"})
    for _, pod in pods(new):
        assert not [each for each in containers(pod) if "envFrom" in each]


def test_21_a_way_in_without_websockets_is_found() -> None:
    """PrefectHQ/prefect 15153: an ingress passes no WebSockets, and task runs are lost silently."""
    test = next(each for each in rendered("production") if each["kind"] == "Pod")
    assert test["metadata"]["annotations"][HOOK] == "test"
    code, *addresses = containers(test)[0]["args"]
    assert "websockets.connect" in code
    compile(code, "reached.py", "exec")
    assert addresses == ["https://coe.acme.example"] * 2
    within = next(each for each in rendered("minimal") if each["kind"] == "Pod")
    assert containers(within)[0]["args"][1:] == [
        "http://rel-coe-api:80",
        "http://rel-coe-gateway:80",
    ]
    assert "WebSockets" in (CHART / "templates" / "NOTES.txt").read_text()


def test_22_settings_have_their_own_names_and_no_others() -> None:
    """camunda ADR 91: values are a third language of configuration."""
    found = render(
        changed(example(), {"config": {"COE_EVENT_DAYS": 90, "COE_RESOLVE": {"a": "b"}}})
    )
    given = variables(containers(of_kind(found, "Deployment")["api"]["spec"]["template"])[0])
    assert given["COE_EVENT_DAYS"] == "90"
    assert given["COE_RESOLVE"] == '{"a":"b"}'
    for wrong in ({"COE_EVENT_DAY": 90}, {"COE_EVENT_DAYS": "ninety"}, {"COE_DATABASE_URL": "x"}):
        with pytest.raises(Refused, match=r"config"):
            render(changed(example(), {"config": wrong}))
        with pytest.raises(Refused, match=r"config"):
            render(changed(example(), {"loops": {"config": wrong}}))


def test_every_complaint_has_its_test() -> None:
    numbers = {int(name.split("_")[1]) for name in globals() if re.match(r"test_\d+_", name)}
    assert numbers == set(range(1, 23))
    assert len(set(itertools.chain(NAMES))) == 3
