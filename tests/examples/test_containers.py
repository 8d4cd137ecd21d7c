"""The compose file and the pod: what they start, started here with what they mount, from a real bundle."""

from pathlib import Path
from typing import Any

import yaml

from devstack.stack import DevStack
from tests.examples.conftest import EXAMPLES, SHOWN, credentials, run
from tests.examples.test_bridge import API
from wrapper.plan import LaunchPlan, plan_launch

COMPOSE = EXAMPLES / "compose/compose.yaml"
POD = yaml.safe_load((EXAMPLES / "kubernetes/pod.yaml").read_text())
TLS = "/run/strongroom/tls"  # where the wrapper looks by default


def service() -> dict[str, Any]:
    (only,) = yaml.safe_load(COMPOSE.read_text())["services"].values()
    return dict(only)


def container() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the pod's container and its environment."""
    (only,) = POD["spec"]["containers"]
    return only, {variable["name"]: variable["value"] for variable in only["env"]}


def planned(environ: dict[str, str]) -> LaunchPlan:
    return plan_launch(environ, None)


def outside(command: list[str], mounts: dict[str, Path]) -> list[str]:
    """Return a container's command with the paths that its mounts have here."""
    words = []
    for word in command:
        path = Path(word)
        found = [(inside, here) for inside, here in mounts.items() if path.is_relative_to(inside)]
        words += [str(here / path.relative_to(inside)) for inside, here in found] or [word]
    return words


def test_the_compose_file_says_nothing_that_compose_would_expand() -> None:
    assert "$" not in "".join(service()["environment"].values())


def test_compose_and_pod_refer_to_the_same_secrets() -> None:
    _, in_pod = container()
    plan = planned(service()["environment"])
    assert plan.names == planned(in_pod).names
    assert [name for name, is_reference in plan.names.items() if is_reference] == ["DATABASE_URL", "API_TOKEN"]
    assert plan.plain["LOG_LEVEL"] == "info"


def test_the_compose_service_runs_with_its_secrets(shop: DevStack, bundle: Path) -> None:
    volumes = [volume.removesuffix(":ro").split(":") for volume in service()["volumes"]]
    mounts = {inside: (COMPOSE.parent / here).resolve() for here, inside in volumes}
    assert TLS in mounts
    mounts["/opt/strongroom"] = bundle
    command = outside(service()["command"], mounts)
    done = run(command, service()["environment"] | credentials(shop, API))
    assert (done.returncode, done.stdout) == (0, SHOWN), done.stderr
    assert "2 secrets in " in done.stderr


def test_the_pod_fills_its_volume_and_runs_with_its_secrets(shop: DevStack, bundle: Path, tmp_path: Path) -> None:
    (init,) = POD["spec"]["initContainers"]
    (to,) = init["volumeMounts"]
    volume = {to["name"]: tmp_path / "volume"}
    volume[to["name"]].mkdir()
    fill = [
        str(bundle / init["command"][0].removeprefix("/")),
        *outside(init["command"][1:], {"/to": tmp_path / "volume"}),
    ]
    for _ in range(2):  # a pod's init containers may run again
        filled = run(fill, {variable["name"]: variable["value"] for variable in init["env"]})
        assert filled.returncode == 0, filled.stderr

    started, environ = container()
    mounts = {mount["mountPath"]: volume.get(mount["name"], tmp_path) for mount in started["volumeMounts"]}
    assert TLS in mounts
    command = outside(started["command"], mounts | {"/app": EXAMPLES / "app"})
    done = run(command, environ | credentials(shop, API))
    assert (done.returncode, done.stdout) == (0, SHOWN), done.stderr


def test_the_pod_is_a_restricted_one_and_mounts_what_it_has() -> None:
    spec = POD["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in (*spec["initContainers"], *spec["containers"]):
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in each["volumeMounts"]} <= volumes
    (tls,) = (volume["secret"] for volume in spec["volumes"] if volume["name"] == "tls")
    assert tls["defaultMode"] == 0o440
