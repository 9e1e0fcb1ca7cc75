"""`audit verify`, `audit adopt`, `audit checkpoint`, `audit key`: the chain, for an operator."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from tqdm import tqdm

from fhir_ecg.commands.opened_application import opened_application
from fhir_ecg.service.adopt import NotAdoptableError, adopt, unheld_rows
from fhir_ecg.service.application import Application
from fhir_ecg.service.verify import (
    CheckpointError,
    ForgedError,
    Verified,
    make_checkpoint,
    make_key,
    open_checkpoint,
    verify,
)
from fhir_ecg.settings import Settings
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.lanes import Head


def verify_chain(settings: Settings, checkpoint: Path | None, public_key: Path | None, *, as_json: bool) -> bool:
    """Print each finding on a line, and what was looked at; returns whether all is sound."""
    heads = _heads(checkpoint, public_key)
    with opened_application(settings) as application:
        verified = _verify(application, heads, as_json=as_json)
    click.echo(_summary(verified, as_json=as_json))
    return verified.findings == 0


def adopt_rows(settings: Settings, operator: str, reason: str | None, *, dry_run: bool, asks: bool) -> bool:
    """Name the rows that no audit entry holds, and let one hold them; returns whether all is sound then.

    Args:
        settings: The settings.
        operator: Who answers for them.
        reason: Why they are genuine; needed unless it is a dry run.
        dry_run: Whether they are named alone.
        asks: Whether the operator is asked before.

    Raises:
        click.ClickException: Something else was found too, or the operator says no.
    """
    with opened_application(settings, refusal=NotAdoptableError) as application:
        findings: list[Finding] = []
        _verify(application, {}, findings)
        unheld = unheld_rows(application, findings)
        if not findings:
            click.echo("Nothing is to be adopted: an audit entry holds every row.")
            return True
        counted = ", ".join(f"{count} of {table}" for table, count in unheld.counts.items())
        click.echo(f"{len(findings)} rows that no audit entry holds can be adopted: {counted}.")
        if dry_run or reason is None:
            return True
        if asks:
            click.confirm("An older process wrote each of them, and you answer for that?", abort=True)
        adopt(application, unheld, operator, reason)
        verified = _verify(application, {})
    click.echo(_summary(verified, as_json=False))
    return verified.findings == 0


def _verify(
    application: Application,
    checkpoint: dict[int, Head],
    kept: list[Finding] | None = None,
    *,
    as_json: bool = False,
) -> Verified:
    """Verify with a progress bar, printing each finding on a line; they can be more than fit into memory."""
    with tqdm(unit="row", desc="Verifying") as bar:

        def begin(total: int) -> Callable[[int], None]:
            bar.reset(total)
            update: Callable[[int], None] = bar.update
            return update

        def tell(finding: Finding) -> None:
            if kept is not None:
                kept.append(finding)
            line = orjson.dumps(asdict(finding)).decode() if as_json else _text(finding)
            with bar.external_write_mode():
                click.echo(line)

        return verify(application, checkpoint, tell, begin)


def write_checkpoint(settings: Settings, key: Path, out: Path) -> str:
    """Write where the chain stands to a file, and its signature beside it."""
    signature_file = out.with_name(f"{out.name}.sig")
    private = key.read_bytes()
    with (
        opened_application(settings, misuse=CheckpointError) as application,
        _new_file(out) as file,
        _new_file(signature_file) as signature,
    ):
        content, signed = make_checkpoint(application, private)
        os.write(file, content)
        os.write(signature, signed)
    return (
        f"Wrote {out} and its signature {signature_file}; keep them where the database's administrators cannot write."
    )


def write_key(out: Path) -> str:
    """Write a private key that only its owner can read, and the public key beside it."""
    public_file = out.with_suffix(".pub.pem")
    private, public = make_key()
    with _new_file(out, 0o600) as file, _new_file(public_file) as public_key:
        os.write(file, private)
        os.write(public_key, public)
    return f"Wrote the private key {out}, to be kept off the database's machine, and the public key {public_file}."


def _heads(checkpoint: Path | None, public_key: Path | None) -> dict[int, Head]:
    if checkpoint is None and public_key is None:
        return {}
    if checkpoint is None or public_key is None:
        raise click.UsageError("--checkpoint and --public-key go together")
    signature = checkpoint.with_name(f"{checkpoint.name}.sig")
    if not signature.is_file():
        raise click.UsageError(f"the signature {signature} is missing; it is written beside the checkpoint")
    try:
        return open_checkpoint(checkpoint.read_bytes(), signature.read_bytes(), public_key.read_bytes())
    except ForgedError as error:
        raise click.ClickException(str(error)) from error
    except CheckpointError as error:
        raise click.UsageError(str(error)) from error


def _text(finding: Finding) -> str:
    return f"{finding.what}: {finding.table} {finding.key}: {finding.text}"


def _summary(verified: Verified, *, as_json: bool) -> str:
    state = verified.state
    if as_json:
        adopted = [{"entry": each.entry, "time": each.moment, "rows": each.rows} for each in verified.adopted]
        counts = {"rows": state.rows, "older": state.older, "adopted": adopted}
        return orjson.dumps({"sound": not verified.findings, "findings": verified.findings} | counts).decode()
    chained = sum(head.position for head in state.lanes.values())
    older = {table: count for table, count in state.older.items() if count}
    lines = [f"{chained} chained audit entries in {len(state.lanes)} lanes, and {sum(state.rows.values())} rows."]
    if older:
        counted = ", ".join(f"{count} of {table}" for table, count in older.items())
        lines.append(f"Older than the chain, so that only their number is known: {counted}.")
    if verified.findings:
        lines.append(f"{verified.findings} findings: keep the database as it is, and see docs/audit.md.")
    else:
        lines.append("Sound: nothing was changed, removed or inserted.")
    if verified.adopted:
        told = (f"{a.rows} on {a.moment:%Y-%m-%d %H:%M:%S} UTC (AuditEvent/{a.entry})" for a in verified.adopted)
        rows = sum(each.rows for each in verified.adopted)
        lines.append(
            f"{rows} rows were adopted, so that operators answer for what they were before: {', '.join(told)}."
        )
    return "\n".join(lines)


@contextmanager
def _new_file(path: Path, mode: int = 0o644) -> Iterator[int]:
    """Open a file that is not there yet; a failure leaves none behind."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written: {error.strerror}; name another file with --out"
        ) from error
    try:
        yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
