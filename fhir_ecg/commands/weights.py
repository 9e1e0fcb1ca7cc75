"""`weights show` and `weights import`."""

import re
from pathlib import Path
from shlex import quote
from shutil import copyfile

import click
from safetensors import SafetensorError

from fhir_ecg.classifier.toeplitz import TAPS
from fhir_ecg.classifier.weights import Weights, WeightsError, read_weights, write_weights
from fhir_ecg.settings import Settings

CHECKPOINT_FILE = "ecg_model.pth"

_HUB_ID = re.compile(r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?")
_NOT_LEARNT = frozenset({"running_mean", "running_var", "num_batches_tracked", TAPS})
"""Tensors that are counted or worked out from others."""
_BY_HAND = f"or download its {CHECKPOINT_FILE} by hand and give the path"


def describe_weights(settings: Settings) -> str:
    """Describe the model in use as JSON: its digest, its size and its manifest."""
    import orjson

    try:
        weights = read_weights(settings.weights)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    described = {
        "sha256": weights.sha256,
        "parameters": sum(
            tensor.size for name, tensor in weights.tensors.items() if name.rpartition(".")[2] not in _NOT_LEARNT
        ),
        "manifest": weights.manifest.model_dump(),
    }
    return orjson.dumps(described, option=orjson.OPT_INDENT_2).decode()


def import_model(source: str, target: Path | None, force: bool, settings: Settings) -> str:
    """Take a model in as a weights file; returns what was written and how to use it.

    Args:
        source: A weights file of ours, the published checkpoint, or the id of its repository on the hub, such as
            `owner/name@revision`.
        target: The weights file; by default one in the data directory that is named after its digest.
        force: Whether the target may be overwritten.
        settings: Where the data directory is.

    Raises:
        click.ClickException: The source cannot be had or is another file, or the target cannot be written.
    """
    if target and target.exists() and not force:
        raise click.ClickException(f"{target} exists; give --force to overwrite it")
    if target and not target.parent.is_dir():
        raise click.ClickException(f"there is no folder {target.parent}")
    path, origin = _locate(source)
    folder = target.parent if target else settings.data_dir / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{path.name}.part"
    try:
        written = _copy(path, part) if path.suffix == ".safetensors" else _convert(path, origin, part)
        target = target or folder / f"{written.manifest.name}-{written.sha256[:16]}.safetensors"
        part.replace(target)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, SafetensorError) as error:
        raise click.ClickException(f"{target or folder} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    manifest, use = written.manifest, f"FHIR_ECG_WEIGHTS={quote(str(target.absolute()))} fhir-ecg"
    return (
        f"Wrote {target}: {manifest.name} {manifest.version}, {len(manifest.labels)} statements\n"
        f"SHA-256 {written.sha256}\n"
        f"Look at it: {use} weights show\n"
        f"Serve it: {use} serve"
    )


def _convert(path: Path, origin: str, part: Path) -> Weights:
    from fhir_ecg.classifier.export import inference_graph
    from fhir_ecg.classifier.published_checkpoint import read_published_checkpoint

    checkpoint = read_published_checkpoint(path)
    manifest = checkpoint.manifest(origin)
    write_weights(part, manifest, checkpoint.tensors, inference_graph(manifest.structure, checkpoint.tensors))
    return read_weights(part)


def _copy(path: Path, part: Path) -> Weights:
    """Copy a weights file of ours, if it can be used; where it holds no graph, the copy does."""
    from fhir_ecg.classifier.inference import Classifier

    copyfile(path, part)
    weights = read_weights(part)
    if weights.graph is None:
        weights = _add_graph(weights, part)
    Classifier(weights)
    return weights


def _add_graph(weights: Weights, part: Path) -> Weights:
    from fhir_ecg.classifier.export import inference_graph

    manifest, tensors = weights.manifest, weights.tensors
    write_weights(part, manifest, tensors, inference_graph(manifest.structure, tensors))
    return read_weights(part)


def _locate(source: str) -> tuple[Path, str]:
    """Find the checkpoint's path, and its origin for the manifest."""
    path = Path(source)
    if path.exists():
        return path, path.name
    named = _HUB_ID.fullmatch(source)
    if named is None or path.suffix in {".pth", ".pt"}:
        raise click.ClickException(f"there is no file {source}, and it is no hub id such as owner/name@revision")
    path = _download(named["repository"], named["revision"])
    # The hub's cache keeps a file in a folder that is named after its commit.
    return path, f"{named['repository']}@{path.parent.name}"


def _download(repository: str, revision: str | None) -> Path:
    try:
        # The types are there only where the extra is.
        from huggingface_hub import hf_hub_download  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise click.ClickException(
            f"{repository} is no file here; to get it from the hub: pip install 'fhir-ecg[hub]', {_BY_HAND}"
        ) from error
    try:
        return Path(hf_hub_download(repository, CHECKPOINT_FILE, revision=revision))
    except Exception as error:  # its own errors, the HTTP library's or the disk's
        raise click.ClickException(
            f"{repository} cannot be downloaded ({type(error).__name__}: {error}); try again later, {_BY_HAND}"
        ) from error
