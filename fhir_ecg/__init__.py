"""fhir-ecg: a second reader for 12-lead ECGs, between FHIR and a neural network."""

from importlib.metadata import version

__version__ = version("fhir-ecg")
