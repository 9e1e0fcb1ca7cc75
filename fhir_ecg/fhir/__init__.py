"""FHIR in and out: SampledData, Observation to Recording, prediction to report, OperationOutcome, search."""
