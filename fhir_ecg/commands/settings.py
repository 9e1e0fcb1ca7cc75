"""`settings`: every variable with its default and meaning, as the README shows them."""

from pathlib import Path

from pydantic.fields import FieldInfo

from fhir_ecg.settings import Settings


def settings_table() -> str:
    """Write the settings as a Markdown table, made from the code."""
    rows = [
        f"| `FHIR_ECG_{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Path):
        value = f"~/{value.relative_to(Path.home())}"
    return "" if value in (None, "", {}, ()) else f"`{str(value).lower() if isinstance(value, bool) else value}`"
