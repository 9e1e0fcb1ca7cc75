"""The id of a resource in an address. https://hl7.org/fhir/R4/datatypes.html#id"""

import re

from werkzeug.exceptions import NotFound

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def require_id(kind: str, identity: str) -> None:
    """Refuse what can be no id.

    Raises:
        NotFound: It can be none, so that no such resource is stored.
    """
    if not ID.fullmatch(identity):
        raise NotFound(f"{kind}/{identity[:64]} is not stored here.")
