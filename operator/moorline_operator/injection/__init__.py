"""What a pod gets when it joins a SessionCluster: the sidecar, what it needs, a gate. Pure."""

from moorline_operator.injection.pod import fingerprint, inject
from moorline_operator.injection.refusals import Refused

__all__ = ["Refused", "fingerprint", "inject"]
