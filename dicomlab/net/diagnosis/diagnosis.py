"""Step by step from the host name to each service: what works, what does not, and what to do about it (SPEC 2)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ...errors import (
    AssociationRejected,
    AssociationTimeout,
    DicomlabError,
    Interrupted,
    InvalidRequest,
    NoAcceptedContext,
    TLSVerificationError,
)
from ...queries.models import STUDY_ROOT
from ...tables.tables import addresses
from ..association import negotiation, verification
from ..association.association import associate
from ..association.deadline import Cancelled, Deadline
from ..association.negotiated import Negotiated
from ..association.node import Node
from ..association.reaching import resolve
from ..retrieve.transfer import GET, MOVE
from .checks import BEFORE, Checks, teller
from .letter import letter
from .services import CONTEXTS, EXTENDED, MR_IMAGE, OPTIONS, ROLES, SERVICES, Service
from .wayback import way_back

if TYPE_CHECKING:
    import pandas as pd

STEPS = 6  # times the deadline of a step: seconds in which all is over


class Diagnosis(Checks):
    """One diagnosis as it goes on."""

    def run(self, move: Any) -> None:
        """Take all steps, each that builds on one that failed left out."""
        reached = self._name() and self._reach()
        if reached:
            self._services()
        else:
            for service in SERVICES:
                self.skipped(service.name, BEFORE)
            self.skipped("extended negotiation", BEFORE)
        way_back(self, move, reached)

    def _name(self) -> bool:
        node, began = self.node, monotonic()
        try:
            found = resolve(node.host, node.port, self.clock.grace(min(self.timeout, max(0.1, self.clock.remaining))))
        except TimeoutError:
            self.failed(
                "host name",
                f"the name server did not say within {self.timeout:g} s who {node.host!r} is",
                "Check the network and VPN, or give the IP address.",
            )
        except OSError as error:
            why = getattr(error, "strerror", None) or error
            means = f"{node.host!r} is not known ({why})"
            self.failed("host name", means, "Check its spelling, or give the IP address.")
        else:
            known = list(dict.fromkeys(str(item[4][0]) for item in found))
            same = known == [node.host]
            means = f"{node.host} is an address" if same else f"{node.host} is {', '.join(known[:4])}"
            self.ok("host name", means, seconds=monotonic() - began)
            return True
        for check in ("TCP", "TLS", "association", "C-ECHO"):
            self.skipped(check, "not tried, for the host name is not known")
        return False

    def _reach(self) -> bool:
        """TCP, TLS, association and C-ECHO: one association has them all; whether one may be opened."""
        node, error = self.node, None
        self.clock.negotiated = None
        began = monotonic()
        try:
            seconds = self.within(3 * self.timeout, lambda deadline: verification.echo(node, deadline))
        except DicomlabError as caught:
            error = caught
        facts = self.clock.negotiated
        if facts is None and error is not None:
            self._not_reached(error)
            return False
        assert facts is not None
        self.ok("TCP", f"{node.host}:{node.port} accepts connections")
        self._tls(facts)
        software = f", by {facts.implementation_version}" if facts.implementation_version else ""
        self.ok("association", f"{node.ae_title} takes {node.calling}{software}", seconds=monotonic() - began)
        if error is None:
            self.ok("C-ECHO", f"answered in {seconds * 1000:.1f} ms", seconds=seconds)
        elif isinstance(error, NoAcceptedContext):
            self.failed("C-ECHO", error, "Other services may work all the same.")
        else:
            silent = f"the association stands, and C-ECHO fails: {error.message}"
            self.failed("C-ECHO", silent, error.advice or "The archive's log says why.")
        return True

    def _tls(self, facts: Negotiated | None = None) -> None:
        if facts is not None and facts.tls is not None:
            self.ok("TLS", str(facts.tls))
        elif self.node.tls is None:
            self.skipped("TLS", "not asked for: plain DICOM", "Where the archive has it: connect(..., tls=True).")

    def _not_reached(self, error: DicomlabError) -> None:
        """Which of the steps it was that failed; those before it went well."""
        node = self.node
        steps = ["TCP", "TLS", "association", "C-ECHO"]
        failed = "association"
        if isinstance(error, TLSVerificationError) or error.phase == "TLS":
            failed = "TLS"
        elif error.phase in ("connection", ""):
            failed = "TCP"
        if failed != "TCP":
            self.ok("TCP", f"{node.host}:{node.port} accepts connections")
        if failed == "association":
            if node.tls is not None:
                self.ok("TLS", "agreed")
            else:
                self._tls()
        self.failed(failed, *self._explained(error))
        for check in steps[steps.index(failed) + 1 :]:
            self.skipped(check, f"not tried, for {failed} failed")

    def _explained(self, error: DicomlabError) -> tuple[str, str, str]:
        """Means, do, ask of an error before an association stood."""
        node = self.node
        ask = ""
        if isinstance(error, AssociationRejected):
            ask = {
                (1, 3): f"Please enter our AE title {node.calling}, with our address.",
                (1, 7): f"Please tell us the AE title of the archive: it does not call itself {node.ae_title}.",
                (3, 1): "Please tell us when the archive is less busy.",
                (3, 2): "Please tell us how many associations we may open, and whether others use them up.",
            }.get((error.source, error.diagnostic), "")
        if isinstance(error, AssociationTimeout) and error.phase == "association":
            silent = f"the connection was accepted, and then nothing came for {self.timeout:g} s"
            do = "A firewall or proxy may stand between, or this is no DICOM port: ask the administrator."
            return silent, do, ask
        return error.message, error.advice, ask

    def _services(self) -> None:
        node = self.node

        def negotiate(deadline: Deadline) -> Negotiated:
            with associate(node, CONTEXTS, deadline, phase="association", scp_roles=ROLES, extended=EXTENDED) as made:
                assert made.facts is not None
                return made.facts

        try:
            facts = self.within(2 * self.timeout, negotiate)
        except DicomlabError as error:
            if not isinstance(error, NoAcceptedContext):
                for service in SERVICES:
                    self.skipped(service.name, f"not known: an association for all services failed ({error.message})")
                self.skipped("extended negotiation", "not known")
                return
            self.results = {}
            for service in SERVICES:
                self._refused(service, None)
            self.skipped("extended negotiation", "no service was accepted")
            return
        self.results = facts.accepted.results
        for service in SERVICES:
            result = self.results.get(service.sop_class)
            if result == 0:
                self.ok(service.name, f"offered, {service.use}{self._more(service, facts)}")
            else:
                self._refused(service, result)
        agreed = [f"{words} ({byte})" for byte, words in OPTIONS.items() if facts.agreed(STUDY_ROOT, byte)]
        none = "nothing beyond the baseline, which is enough: queries go level by level"
        self.ok("extended negotiation", f"agreed for C-FIND: {', '.join(agreed)}" if agreed else none)

    def _more(self, service: Service, facts: Negotiated) -> str:
        if service.name.startswith("C-GET") and not facts.roles.get(MR_IMAGE, (False, False))[1]:
            return "; it did not answer the role of a receiver, which need not stop it"
        if service.name.startswith("C-STORE") and "store" not in self.node.allow:
            return '; this node is read-only here, unless connect(..., allow=("store",)) says otherwise'
        return ""

    def _refused(self, service: Service, result: int | None) -> None:
        why = "not answered" if result is None else negotiation.RESULTS.get(result, f"result {result}")
        means = f"not offered ({why}): no way {service.use}"
        either = service.sop_class in (*GET.values(), *MOVE.values())
        ways = (GET[STUDY_ROOT], MOVE[STUDY_ROOT])
        needed = service.needed or (service.sop_class in ways and not any(self.results.get(way) == 0 for way in ways))
        if needed:
            ask = f"Please allow {service.name} for our AE title {self.node.calling}."
            self.failed(service.name, means, "Ask the administrator to allow it for your AE title.", ask)
        elif either:
            self.absent(service.name, means, "Nothing, as long as another way to retrieve is offered.")
        else:
            self.absent(service.name, means, "Nothing, unless you need it; then ask the administrator.")


def examine(node: Node, clock: Deadline, *, timeout: float, move: Any, progress: Any) -> pd.DataFrame:
    """All steps, as a table; see `Peer.diagnose`. The clock ends it as a whole."""
    tell = teller(progress)
    if not isinstance(move, bool):
        move = None if move is None else addresses(move)  # an empty choice is refused before anything is sent
    run = Diagnosis(node, clock, timeout, tell)
    try:
        run.run(move)
    except KeyboardInterrupt:
        raise Interrupted(
            f"{node.identity}: the diagnosis was stopped after {len(run.made)} checks, which are in "
            "sys.last_value.rows",
            _table(run),
        ) from None
    except Cancelled:
        run.skipped("the rest", "not tried: stopped by cancel() or close()")
    return _table(run)


def check_timeout(timeout: Any) -> float:
    """The seconds of a step."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 60:
        raise InvalidRequest(f"timeout={timeout!r}", advice="A step takes seconds above 0, at most 60.")
    return float(timeout)


def _table(run: Diagnosis) -> pd.DataFrame:
    import pandas as pd

    rows = [(one.check, one.result, one.means, one.do, one.seconds) for one in run.made]
    frame = pd.DataFrame(rows, columns=["check", "result", "means", "do", "seconds"])
    frame = frame.astype({"check": "string", "result": "string", "means": "string", "do": "string", "seconds": float})
    failed = [one.check for one in run.made if one.matters]
    frame.attrs = {
        "peer": run.node.identity,
        "calling": run.node.calling,
        "ok": not failed and run.results.get(STUDY_ROOT) == 0,
        "failed": failed,
        "elapsed": round(run.clock.elapsed, 3),
        "limit": run.clock.total,
        "letter": letter(run.node, run.made),
    }
    return frame
