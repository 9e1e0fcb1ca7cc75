"""`python -m fhir_ecg` is `fhir-ecg`."""

from fhir_ecg.cli import main

main()
