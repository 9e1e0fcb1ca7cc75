"""Dockerfile and docker-compose.yml against the code that they start. No Docker engine is needed."""

import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from sqlalchemy import make_url
from werkzeug.serving import BaseWSGIServer, make_server

from fhir_ecg import supervisor
from fhir_ecg.api import server
from fhir_ecg.api.app import create_app
from fhir_ecg.api.authorisation import UnprotectedError, new_token, require_protection
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.cli import main
from fhir_ecg.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker")

TOKEN, DIGEST = new_token()
REQUIRED = {"POSTGRES_PASSWORD": "s3cret", "FHIR_ECG_CLIENTS": json.dumps({"ehr": DIGEST})}

Instruction = tuple[str, str]


def read_dockerfile(text: str) -> list[list[Instruction]]:
    """List the instructions of each stage."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    stages: list[list[Instruction]] = []
    for line in joined.splitlines():
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


STAGES = read_dockerfile((ROOT / "Dockerfile").read_text())
IMAGE = STAGES[-1]


def last(word: str) -> str:
    """Give the instruction of the final stage that is in force."""
    return [rest for instruction, rest in IMAGE if instruction == word][-1]


def run(part: str, stage: Sequence[Instruction] = IMAGE) -> str:
    """Give the one RUN instruction that has a part."""
    [found] = [rest for word, rest in stage if word == "RUN" and part in rest]
    return found


IMAGE_ENVIRONMENT = dict(pair.split("=", 1) for word, rest in IMAGE if word == "ENV" for pair in shlex.split(rest))
_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:-|:\?)(?P<text>[^}]*)\}")


def interpolate(value: object, variables: dict[str, str]) -> str:
    """Fill in ${NAME:-default} and ${NAME:?message}, as Compose does for a variable that is unset or empty."""

    def filled(match: re.Match[str]) -> str:
        given = variables.get(match["name"], "")
        if not given and match["operator"] == ":?":
            raise LookupError(f"{match['name']}: {match['text']}")
        return given or (match["text"] if match["operator"] == ":-" else "")

    result = _REFERENCE.sub(filled, str(value))
    assert "$" not in result, f"{result}: a form of interpolation that this test does not know"
    return result


def environment(service: str, **optional: str) -> dict[str, str]:
    """Give the variables that a container of a service of ours runs with."""
    given = SERVICES[service].get("environment", {})
    return IMAGE_ENVIRONMENT | {name: interpolate(value, REQUIRED | optional) for name, value in given.items()}


def words(service: str) -> list[str]:
    """Give what follows `fhir-ecg` in a service of ours."""
    return list(SERVICES[service].get("command", json.loads(last("CMD"))))


def parse(arguments: Sequence[str]) -> tuple[click.Command, dict[str, Any]]:
    """Find a subcommand and read its options without running it."""
    command: click.Command = main
    context, left = click.Context(main), list(arguments)
    while isinstance(command, click.Group):
        _, found, left = command.resolve_command(context, left)
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    return command, command.make_context(command.name, left).params


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Build the settings that a service of ours would have."""

    def build(service: str, **optional: str) -> Settings:
        for field in Settings.model_fields:
            monkeypatch.delenv(f"FHIR_ECG_{field.upper()}", raising=False)
        for name, value in environment(service, **optional).items():
            monkeypatch.setenv(name, value)
        return Settings()

    return build


@pytest.mark.parametrize("source", ["Dockerfile", "docker-compose.yml", "docs/deployment.md"])
def test_every_variable_is_a_setting(source: str) -> None:
    named = set(re.findall(r"FHIR_ECG_[A-Z_]+", (ROOT / source).read_text()))
    assert named
    assert named <= {f"FHIR_ECG_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("service", OURS)
def test_each_service_has_valid_settings_and_finds_the_others(service: str, settings_of: Any) -> None:
    settings = settings_of(service)
    database, broker = make_url(settings.database_url), make_url(settings.broker_url)
    created = {name: interpolate(value, REQUIRED) for name, value in SERVICES["postgres"]["environment"].items()}
    assert (database.get_backend_name(), database.host) == ("postgresql", "postgres")
    assert database.username == created["POSTGRES_USER"]
    assert database.password == created["POSTGRES_PASSWORD"] == REQUIRED["POSTGRES_PASSWORD"]
    assert database.database == created["POSTGRES_DB"]
    assert (broker.drivername, broker.host) == ("redis", "redis")
    networks = set(SERVICES[service]["networks"])
    assert networks & set(SERVICES["postgres"]["networks"])
    assert networks & set(SERVICES["redis"]["networks"])


@pytest.mark.parametrize("service", OURS)
def test_what_an_operator_leaves_unset_has_the_default_of_the_code(service: str, settings_of: Any) -> None:
    settings = settings_of(service)
    set_by_compose = {"data_dir", "database_url", "broker_url", "clients", "log_format", "worker_metrics_port"}
    for name in set(Settings.model_fields) - set_by_compose:
        assert getattr(settings, name) == Settings.model_fields[name].default, name


def test_what_an_operator_sets_arrives(settings_of: Any) -> None:
    chosen = {"FHIR_ECG_SNOMED": "false", "FHIR_ECG_REPORT_STATUS": "preliminary"}
    assert settings_of("web", FHIR_ECG_BASE_URL="https://ecg.example.org/fhir").base_url.endswith("/fhir")
    for service in ("web", "worker"):
        settings = settings_of(service, **chosen)
        assert (settings.snomed, settings.report_status) == (False, "preliminary")
    assert settings_of("worker", FHIR_ECG_WORKER_PROCESSES="4").worker_processes == 4


@pytest.mark.parametrize("name", REQUIRED)
def test_compose_refuses_to_start_without_a_required_variable(name: str) -> None:
    given = {key: value for key, value in REQUIRED.items() if key != name}
    with pytest.raises(LookupError, match=name):
        interpolate(list(SERVICES["web"]["environment"].values()), given)


def test_only_the_web_knows_who_may_call(settings_of: Any) -> None:
    assert settings_of("web").clients == {"ehr": DIGEST}
    assert settings_of("worker").clients == {}


@pytest.mark.parametrize(("service", "command"), [("migrate", "upgrade"), ("web", "web"), ("worker", "worker")])
def test_each_service_runs_its_command(service: str, command: str) -> None:
    assert "entrypoint" not in SERVICES[service]
    assert parse(words(service))[0].name == command


def test_the_entry_point_is_the_command_that_the_wheel_installs() -> None:
    assert json.loads(last("ENTRYPOINT")) == list(PROJECT["project"]["scripts"])


def test_an_unknown_option_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        parse(["web", "--prot", "8080"])


@pytest.mark.parametrize("source", ["docker-compose.yml", "docs/deployment.md"])
def test_the_commands_that_operators_are_told_to_run_exist(source: str) -> None:
    text = (ROOT / source).read_text()
    told = re.findall(r"(?:--rm |/bin/)fhir-ecg ((?:[\w.-]+ ?)+)", text)
    told += re.findall(r"docker compose run (?:--\S+ )*web ((?:[\w.-]+ ?)+)", text)
    assert told
    for command in told:
        parse(command.split())


def test_the_web_is_refused_without_clients_and_allowed_with_them(settings_of: Any) -> None:
    host = parse(words("web"))[1]["host"]
    assert host == "0.0.0.0"  # noqa: S104 - a container's ports are published by Docker alone
    with pytest.raises(UnprotectedError):
        require_protection(host, settings_of("web").model_copy(update={"clients": {}}))
    require_protection(host, settings_of("web"))


def test_the_port_is_the_same_everywhere() -> None:
    [published] = SERVICES["web"]["ports"]
    address, _outside, inside = interpolate(published, {}).rsplit(":", 2)
    health_check = SERVICES["web"]["healthcheck"]["test"][-1]
    assert int(last("EXPOSE")) == parse(words("web"))[1]["port"] == int(inside)
    assert f'"127.0.0.1", {inside}' in health_check
    assert address == "127.0.0.1", "tokens would cross the network in the clear"


def test_the_database_is_migrated_before_web_and_worker_start() -> None:
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert SERVICES["migrate"]["restart"] == "no"
    for service in ("web", "worker"):
        conditions = {name: how["condition"] for name, how in SERVICES[service]["depends_on"].items()}
        assert conditions == {"migrate": "service_completed_successfully", "redis": "service_healthy"}


def test_what_is_waited_for_has_a_health_check() -> None:
    waited_for = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert waited_for == {"postgres", "redis"}
    assert "pg_isready" in SERVICES["postgres"]["healthcheck"]["test"]
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_docker_waits_for_requests_and_readings_in_hand() -> None:
    assert int(SERVICES["web"]["stop_grace_period"].removesuffix("s")) > server.GRACE_SECONDS
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > supervisor.GRACE_SECONDS


def test_in_containers_lines_are_json_and_workers_are_scraped_from_inside_alone(settings_of: Any) -> None:
    assert {settings_of(service).log_format for service in OURS} == {"json"}
    assert settings_of("web", FHIR_ECG_LOG_FORMAT="text").log_format == "text"
    assert settings_of("worker").worker_metrics_port == 9464
    assert f"worker:{settings_of('worker').worker_metrics_port}" in (ROOT / "docs/deployment.md").read_text()
    assert SERVICES["worker"]["networks"] == ["inside"]


def test_the_worker_can_be_scaled() -> None:
    worker = SERVICES["worker"]
    assert not {"container_name", "ports", "hostname"} & set(worker)
    assert interpolate(worker["deploy"]["replicas"], {}) == "1"
    assert interpolate(worker["deploy"]["replicas"], {"WORKERS": "4"}) == "4"


def test_only_what_listens_is_checked_over_http() -> None:
    assert "HEALTHCHECK" not in {word for word, _ in IMAGE}, "workers run from the same image"
    assert "healthcheck" not in SERVICES["worker"]


@pytest.fixture
def web(settings_of: Any) -> Iterator[BaseWSGIServer]:
    """Serve the web application on a free port, with the settings of the container."""
    settings = settings_of("web")
    listening = make_server("127.0.0.1", 0, create_app(bootstrap(settings), settings))
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield listening
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_the_health_check_tells_well_from_ill(web: BaseWSGIServer) -> None:
    kind, interpreter, flag, code = SERVICES["web"]["healthcheck"]["test"]
    assert (kind, interpreter, flag) == ("CMD", "python", "-c")

    def exit_status(*changes: tuple[str, str]) -> int:
        changed = code
        for old, new in changes:
            assert old in changed
            changed = changed.replace(old, new)
        return subprocess.run([sys.executable, "-c", changed], capture_output=True, check=False, timeout=30).returncode

    here = ("8080", str(web.server_port))
    assert exit_status(here) == 0, "without a token, PostgreSQL or Redis"
    assert exit_status(here, ("/livez", "/fhir/DiagnosticReport")) == 1, "answers 401"
    assert exit_status(("8080", "1")) == 1, "nobody listens on port 1"


def test_redis_keeps_the_wake_ups() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == "redis-server"
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_what_must_last_is_in_declared_volumes() -> None:
    used = {
        service: volume.split(":")
        for service, definition in SERVICES.items()
        for volume in definition.get("volumes", [])
    }
    assert used["postgres"][1] == "/var/lib/postgresql/data"
    assert used["redis"][1] == "/data"
    assert {name for name, _ in used.values()} == set(COMPOSE["volumes"])


def test_networks_are_declared_and_only_the_web_is_reached_from_outside() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert {name for service in SERVICES.values() for name in service["networks"]} == set(COMPOSE["networks"])
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["web"]
    assert [name for name, service in SERVICES.items() if "outside" in service["networks"]] == ["web"]


@pytest.mark.parametrize("service", SERVICES)
def test_each_container_has_no_more_rights_than_it_needs(service: str) -> None:
    definition = SERVICES[service]
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert "cap_add" not in definition
    assert "no-new-privileges:true" in definition["security_opt"]
    user = definition.get("user", last("USER") if service in OURS else "root")
    assert user.split(":")[0] not in {"root", "0"}


def test_the_image_runs_as_a_fixed_user_who_owns_the_data_directory() -> None:
    user, group = map(int, last("USER").split(":"))
    assert min(user, group) >= 1000
    made, directory = run("useradd"), IMAGE_ENVIRONMENT["FHIR_ECG_DATA_DIR"]
    assert f"--uid {user} --gid {group}" in made
    assert re.search(rf"install --directory --owner={user} --group={group} \S+ {directory}$", made)
    instructions = [word for word, _ in IMAGE]
    assert "RUN" not in instructions[instructions.index("USER") :]


def copied() -> list[str]:
    """List what the Dockerfile takes from the checkout."""
    return [
        source
        for stage in STAGES
        for word, rest in stage
        if word == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    ]


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert patterns[0] == "*", "an allow-list: patients' data or secrets beside the code stay out"
    assert f"!{source}" in patterns
    assert source not in patterns[1:]


def test_the_wheel_is_built_from_all_that_it_needs() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    needed = {"pyproject.toml", project["readme"], *project["license-files"], *wheel["packages"]}
    assert needed | set(wheel["force-include"]) == set(copied())


def test_the_wheel_of_the_build_stage_is_installed_with_the_driver_of_postgresql() -> None:
    assert [stage[0] for stage in STAGES] == [("FROM", "python:3.11-slim AS build"), ("FROM", "python:3.11-slim")]
    assert "--wheel-dir /dist" in run("pip wheel", STAGES[0])
    install = run("/dist/*.whl")
    assert "from=build,source=/dist,target=/dist" in install
    [extras] = re.findall(r'"\$\{1\}\[([\w,]+)\]"', install)
    assert extras.split(",") == ["otel", "postgres"]
    assert any("psycopg" in package for package in PROJECT["project"]["optional-dependencies"]["postgres"])


@pytest.mark.parametrize(
    ("index", "expected"),
    [("", []), ("https://index.example/cpu wheels", ["--index-url", "https://index.example/cpu wheels"])],
)
def test_torch_comes_pinned_from_the_index_that_is_given(index: str, expected: list[str]) -> None:
    [pinned] = [name for name in PROJECT["project"]["dependencies"] if name.startswith("torch==")]
    shell = f"pip() {{ printf '%s\\n' \"$@\"; }}\n{run('torch==')}"
    said = subprocess.check_output(["/bin/sh", "-euc", shell], env={"TORCH_INDEX_URL": index}, text=True)
    assert said.splitlines() == ["install", "--no-cache-dir", *expected, pinned]
    assert ("ARG", 'TORCH_INDEX_URL=""') in IMAGE
    assert "TORCH_INDEX_URL" in SERVICES["migrate"]["build"]["args"]


def test_the_files_name_no_address_of_a_registry() -> None:
    for name in ("Dockerfile", "docker-compose.yml"):
        addresses = re.findall(r"(\w+)://", (ROOT / name).read_text())
        assert not set(addresses) - {"postgresql", "redis"}


def test_one_service_builds_the_image_that_all_of_ours_run() -> None:
    assert {SERVICES[service]["image"] for service in OURS} == {"fhir-ecg"}
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    assert "docker build --build-arg TORCH_INDEX_URL=ADDRESS -t fhir-ecg ." in (ROOT / "docs/deployment.md").read_text()
