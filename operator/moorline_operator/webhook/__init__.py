"""The admission webhook: every replica answers what the API server asks about pods."""

from moorline_operator.webhook.application import Webhook
from moorline_operator.webhook.listener import Listener
from moorline_operator.webhook.lookup import ClusterSource, Lookup

__all__ = ["ClusterSource", "Listener", "Lookup", "Webhook"]
