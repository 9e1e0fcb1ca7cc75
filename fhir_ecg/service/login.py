"""Requests without a known token: told to the audit trail in a bounded number of entries, however many there are."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from threading import Lock

from fhir_ecg.error_text import describe_error
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.audit import AuditEntry

logger = logging.getLogger(__name__)

WINDOW = timedelta(minutes=1)
MOST_NETWORKS = 100
"""So many are counted each by itself; further ones together."""
_OTHERS = "others"
# What one subscriber has, as a rule.
_PREFIXES = {4: 24, 6: 48}


@dataclass(frozen=True)
class _Failures:
    """Failures of one network that no entry tells of yet."""

    caller: Caller
    """The first of them."""
    began: datetime
    count: int = 0


class FailedLogins:
    """Counts failures: the first of a network has its entry at once, those of its next minute share one.

    So a process writes at most two entries a minute for each of 101 networks. What was counted and not yet written is
    lost if it is killed.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = Lock()
        self._windows: dict[str, _Failures] = {}

    def note(self, caller: Caller) -> None:
        """Note a failure."""
        moment = now()
        with self._lock:
            entries = self._ended(moment)
            network = self._counted_with(caller.address)
            window = self._windows.get(network)
            if window is None:
                self._windows[network] = _Failures(caller, moment)
                entries.append(_entry(_Failures(caller, moment, 1), moment))
            elif not window.count:
                self._windows[network] = replace(window, caller=caller, count=1)
            else:
                self._windows[network] = replace(window, count=window.count + 1)
        self._write(entries, moment)

    def tell(self) -> None:
        """Write what is due; cheap where nothing is."""
        if not self._windows:
            return
        moment = now()
        with self._lock:
            entries = self._ended(moment)
        self._write(entries, moment)

    def _counted_with(self, address: str | None) -> str:
        try:
            parsed = ip_address(address or "")
        except ValueError:
            return _OTHERS
        network = str(ip_network(f"{parsed}/{_PREFIXES[parsed.version]}", strict=False))
        return network if network in self._windows or len(self._windows) < MOST_NETWORKS else _OTHERS

    def _ended(self, moment: datetime) -> list[AuditEntry]:
        """Take out the windows that have ended; those that counted something begin again."""
        ended = {network: window for network, window in self._windows.items() if moment >= window.began + WINDOW}
        entries = []
        for network, window in ended.items():
            del self._windows[network]
            if window.count:
                entries.append(_entry(window, moment))
                self._windows[network] = _Failures(window.caller, moment)
        return entries

    def _write(self, entries: list[AuditEntry], moment: datetime) -> None:
        if not entries:
            return
        try:
            with self._application.store.transaction() as work:
                for entry in entries:
                    work.audit.add(entry, moment)
        except Exception as error:  # the request is refused in any case
            logger.warning("failed logins could not be told to the audit trail: %s", describe_error(error))


def _entry(failures: _Failures, moment: datetime) -> AuditEntry:
    seconds = round((moment - failures.began).total_seconds())
    return failures.caller.entry("login", detail={"count": failures.count, "seconds": seconds}, outcome="failure")
