"""The `fhir-ecg` command; each subcommand a few lines."""
import click
