"""The volumes of a pod, with the owners, modes and links that a kubelet gives them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Secrets = Mapping[str, Mapping[str, str]]


def prepare(
    volume: dict[str, Any], folder: Path, secrets: Secrets, claims: Path, group: int
) -> Path:
    """Make a volume of a pod; the folder to mount.

    The kubelet gives files of Secrets to root and to the group of the pod (`fsGroup`): they may be
    read by it, and a link leads to them through `..data`. Folders that are written get its group.
    """
    place = folder / volume["name"]
    if "emptyDir" in volume:
        place.mkdir(parents=True)
        return _written(place, group)
    if "persistentVolumeClaim" in volume:
        place = claims / volume["persistentVolumeClaim"]["claimName"]
        place.mkdir(parents=True, exist_ok=True)
        return _written(place, group)
    files = {}
    if "projected" in volume:
        mode = volume["projected"]["defaultMode"]
        for source in volume["projected"]["sources"]:
            files |= _items(source["secret"], source["secret"]["name"], secrets)
    elif "secret" in volume:
        mode = volume["secret"].get("defaultMode", 0o644)
        files = _items(volume["secret"], volume["secret"]["secretName"], secrets)
    elif "configMap" in volume:
        mode = volume["configMap"].get("defaultMode", 0o644)
        files = _items(volume["configMap"], volume["configMap"]["name"], secrets)
    else:
        raise NotImplementedError(volume)
    return _linked(place, files, mode, group)


def _items(source: dict[str, Any], name: str, secrets: Secrets) -> dict[str, str]:
    given = secrets[name]
    items = source.get("items") or [{"key": key, "path": key} for key in given]
    return {item["path"]: given[item["key"]] for item in items}


def _written(place: Path, group: int) -> Path:
    os.chown(place, 0, group)
    place.chmod(0o2777)
    return place


def _linked(place: Path, files: dict[str, str], mode: int, group: int) -> Path:
    inside = place / "..2026_12_01_00_00_00.000000000"
    inside.mkdir(parents=True)
    for name, text in files.items():
        file = inside / name
        file.write_text(text)
        os.chown(file, 0, group)
        file.chmod(mode | 0o440)
        (place / name).symlink_to(f"..data/{name}")
    (place / "..data").symlink_to(inside.name)
    for each in (place, inside):
        os.chown(each, 0, group)
        each.chmod(0o2755)
    return place
