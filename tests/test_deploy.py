"""The image and the compose file name things that are there. No container is started here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from worker.runtime.settings import PREFIX, Settings
from worker.shipped import lifecycle_names

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: Any = YAML(typ="safe").load(ROOT / "deploy" / "compose.yaml")


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [source for copy in instructions("COPY") if not copy.startswith("--from") for source in copy.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_the_image_does_not_run_as_root() -> None:
    user, _, group = instructions("USER")[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_everything_installed_into_the_image_is_pinned_by_hash() -> None:
    for command in instructions("RUN"):
        for install in re.findall(r"pip install (.*?)(?:&&|$)", command):
            assert "--require-hashes" in install or "--no-deps" in install, install


def test_images_are_pinned_to_a_release() -> None:
    stages = {part.split()[-1] for part in instructions("FROM") if " AS " in part}
    images = [part.split()[0] for part in instructions("FROM")]
    images += [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    for image in set(images) - stages:
        assert re.search(r":\d+\.\d+", image), f"{image} names no release"


def test_the_settings_of_image_and_compose_file_are_settings() -> None:
    given = re.findall(rf"\b{PREFIX}([A-Z_]+)=", DOCKERFILE)
    given += [name.removeprefix(PREFIX) for name in COMPOSE["services"]["worker"]["environment"]]
    unknown = {name.lower() for name in given} - set(Settings.model_fields)
    assert not unknown


def test_the_worker_of_the_compose_file_is_whole() -> None:
    worker = COMPOSE["services"]["worker"]
    environment = {name.removeprefix(PREFIX).lower(): value for name, value in worker["environment"].items()}
    settings = Settings(**environment, instance_id=worker["hostname"])
    assert settings.lifecycle in lifecycle_names()
    assert int(worker["stop_grace_period"].removesuffix("s")) * 1000 > settings.stop_timeout_ms
    kafka = COMPOSE["services"][settings.broker.removeprefix("kafka://").partition(":")[0]]
    port = settings.broker.rpartition(":")[2]
    assert f"INTERNAL://kafka:{port}" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    named = {mount.partition(":")[0] for service in COMPOSE["services"].values() for mount in service["volumes"]}
    assert named == set(COMPOSE["volumes"])
