"""Where a process computes, and with what: all that may decide the last bits of a result."""

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("numpy", "scipy", "onnxruntime")
# Libraries choose their code by these; others, such as those against side channels, come and go with kernels.
_COMPUTING_FLAGS = (
    "amx", "asimd", "avx", "bf16", "f16c", "fcma", "fma", "fphp", "i8mm", "neon", "smef", "sse", "ssse", "sve",
)  # fmt: skip
_DECIDING = (*_LIBRARIES, "system", "machine", "libc", "instructions")
"""What may change the last bits. Neither Python nor a processor's name does: no code is chosen by them."""


def process_name() -> str:
    """Name this process by its host and number."""
    return f"{platform.node()}:{os.getpid()}"


@cache
def computing_environment() -> dict[str, str]:
    """Describe what this process computes with."""
    processor = _processor()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "system": platform.system(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "processor": " ".join(filter(None, map(processor.get, ("vendor_id", "model name")))) or platform.processor(),
        "instructions": " ".join(sorted(_instructions(processor))),
    }


def environment_changes(stored: Mapping[str, str]) -> list[str]:
    """Say what of a stored environment is another here, as far as it may change the last bits of a result."""
    here = computing_environment()
    return [
        f"{name}: {stored.get(name) or 'unknown'} then, {here[name] or 'unknown'} now"
        for name in _DECIDING
        if stored.get(name) != here[name]
    ]


def _instructions(processor: Mapping[str, str]) -> set[str]:
    flags = processor.get("flags") or processor.get("Features") or ""
    return {flag for flag in flags.split() if flag.startswith(_COMPUTING_FLAGS)}


def _processor() -> dict[str, str]:
    """Read what Linux tells of the first processor; other systems tell their machine's kind alone."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return {}
    lines = text.split("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
