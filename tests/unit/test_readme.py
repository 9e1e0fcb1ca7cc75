"""The README says what the code does."""

import re
import shlex

import click
import pytest
from locations import REPOSITORY

from fhir_ecg.cli import main
from fhir_ecg.commands.settings import settings_table
from fhir_ecg.fhir.repairs import Repair

README = (REPOSITORY / "README.md").read_text()
COMMANDS = sorted(
    {
        line.split("#")[0].split("|")[0].split(">")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
        if line.strip().startswith("fhir-ecg ")
    }
)


def test_settings_table_is_the_code_s() -> None:
    assert settings_table() in README


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_parses(line: str) -> None:
    command: click.Command = main
    arguments = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found, f"there is no command {name}"
        command = found
    parser = command.make_parser(click.Context(command))
    parser.parse_args(args=arguments)


def test_every_relative_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)

    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_every_repair_is_explained_to_integrators() -> None:
    page = (REPOSITORY / "docs" / "accepted-forms.md").read_text()

    assert [repair for repair in Repair if f"| `{repair}` |" not in page] == []
