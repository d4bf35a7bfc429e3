"""The webhook's certificates: an authority of its own, kept by the leader, served by everyone.

    leader    keeping.py ── rotation.py (pure: what to do next) ── material.py, signing.py
    replica   serving.py (the live certificate, and the proof that the API server can trust it)

All state is in one Secret:

    ca.crt      the authorities to trust, the one that signs first
    ca.key      the key of the first
    tls.crt, tls.key    what replicas serve with
    next.crt, next.key  the authority that will sign, while the world learns of it
    first.crt   the first certificate that the signing authority signed; when it has ended,
                so has every certificate of those before
"""

from moorline_operator.certificates.keeping import keep_certificates, published_bundle
from moorline_operator.certificates.serving import ServingCertificate, handshake_fault

__all__ = ["ServingCertificate", "handshake_fault", "keep_certificates", "published_bundle"]
