"""Writes the FHIR package of our definitions into a folder: python -m fhir_ecg.fhir.definitions docs"""

import sys
from pathlib import Path

from fhir_ecg.fhir.definitions.package import write_package

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name the folder that `package` is to be written into, such as docs.")
    write_package(Path(sys.argv[1]))
