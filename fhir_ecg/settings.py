"""Every setting, typed, from variables that begin with FHIR_ECG_."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.log_format import LogFormat

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]


class Settings(BaseSettings):
    """The knobs. Each description ends up in the README's table."""

    model_config = SettingsConfigDict(env_prefix="FHIR_ECG_", env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path.home() / ".local" / "share" / "fhir-ecg",
        description="Where local state lives: the SQLite database and the file broker, unless they are set",
    )
    database_url: str = Field(
        "",
        description="`postgresql://user:password@host/name` or `sqlite:///path`; "
        "empty means SQLite in the data directory",
    )
    broker_url: str = Field(
        "", description="`redis://`, `amqp://` or `file:///path`; empty means files in the data directory"
    )
    weights: Path | None = Field(None, description="Another model than the shipped one: a safetensors file")
    base_url: str = Field(
        "",
        description="The address under which clients reach `/fhir`, where a proxy changes it; empty means as requested",
    )
    clients: dict[str, Sha256] = Field(
        default_factory=dict,
        description="Who may call: JSON of client names to the SHA-256 of their bearer tokens "
        "(`fhir-ecg token NAME` makes one)",
    )
    confirming_clients: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Which of these clients may confirm, edit and reject reports, separated by commas; "
        "empty means each of them",
    )
    auditors: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Which of these clients may read AuditEvents, separated by commas; empty means each of them",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Web pages of which addresses may call from a browser, separated by commas; `*` for all",
    )
    maximum_body_bytes: int = Field(8 * 1024**2, gt=0, description="Larger bodies are refused with 413")
    report_status: Literal["partial", "preliminary"] = Field(
        "partial", description="Status of a report that no person has confirmed"
    )
    snomed: bool = Field(
        True, description="Send SNOMED CT codes beside the SCP-ECG codes; turn off where you have no licence"
    )
    repairs: Annotated[tuple[Repair, ...], NoDecode] = Field(
        (),
        description="Repairs of known deviations that are allowed, separated by commas; "
        "[docs/accepted-forms.md](docs/accepted-forms.md) lists them",
    )
    worker_processes: int = Field(1, ge=1, le=64, description="Processes of a worker; each reads one ECG at a time")
    worker_memory_mib: int = Field(
        1024, ge=1, description="A worker's process that has held more memory makes room for a fresh one"
    )
    web_threads: int = Field(8, ge=1, le=256, description="Threads of the web process")
    request_seconds: float = Field(60, gt=0, description="A request that has not come whole by then is given up")
    queue_limit: int = Field(
        10_000, ge=1, description="While so many ECGs wait to be read, further ones are refused with 503"
    )
    lease_seconds: float = Field(120, gt=0, description="A job whose worker is silent for that long is taken over")
    maximum_attempts: int = Field(3, ge=1, description="After so many failed attempts the report is cancelled")
    sweep_seconds: float = Field(5, gt=0, description="How often a worker looks for jobs whose wake-up was lost")
    wake_again_seconds: float = Field(30, gt=0, description="When a waiting job is woken again")
    same_bytes_seconds: float = Field(
        0, ge=0, description="An Observation of the same bytes is not taken twice within so long; 0 takes each"
    )
    classify_seconds: float = Field(
        10, ge=0, le=60, description="How long `$classify` waits for the report before it answers without a reading"
    )
    export_hours: float = Field(24, gt=0, le=8760, description="How long the files of an `$export` can be fetched")
    retention_waveform_days: int = Field(
        0,
        ge=0,
        description="ECGs received more days ago lose their samples by `fhir-ecg retention expire`; 0 for never",
    )
    retention_case_days: int = Field(
        0, ge=0, description="ECGs received more days ago are removed whole by it, with their reports; 0 for never"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is logged")
    log_format: LogFormat = Field("text", description="Log lines as `text`, or as `json`, an object a line")
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="Where a worker serves its `/metrics` to Prometheus; 0 for nowhere"
    )

    @field_validator("repairs", "confirming_clients", "auditors", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("confirming_clients", "auditors", mode="after")
    @classmethod
    def _known(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        # Where nobody is known, the names would seem to keep others out.
        known = info.data.get("clients", {})
        if unknown := [name for name in value if name not in known]:
            raise ValueError(f"{', '.join(unknown)}: no such client in FHIR_ECG_CLIENTS")
        return value

    @field_validator("retention_case_days", mode="after")
    @classmethod
    def _not_before_the_waveforms(cls, value: int, info: ValidationInfo) -> int:
        waveform = info.data.get("retention_waveform_days", 0)
        if 0 < value < waveform:
            raise ValueError(
                f"whole cases would expire after {value} days, before their waveforms after {waveform}; give "
                f"{waveform} days or more, or set FHIR_ECG_RETENTION_WAVEFORM_DAYS to 0"
            )
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        defaults = {
            "database_url": f"sqlite:///{self.data_dir / 'fhir-ecg.sqlite3'}",
            "broker_url": f"file://{self.data_dir / 'broker'}",
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        return self

    @property
    def lease(self) -> timedelta:
        """How long a claimed job stays its worker's."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def worker_silence(self) -> timedelta:
        """After how long without a sign of life a worker counts as gone: three sweeps, and some patience."""
        return timedelta(seconds=3 * self.sweep_seconds + 10)

    @property
    def wake_again(self) -> timedelta:
        """When a waiting job is woken again."""
        return timedelta(seconds=self.wake_again_seconds)
