"""What a SessionCluster should have as children, as a function of it and the settings.

Those that are there as long as they are wanted are applied server-side; Jobs are created, and
come and go.
"""

from moorline_operator.desired.check_job import check_fingerprint, check_job
from moorline_operator.desired.child import Child, is_owned
from moorline_operator.desired.objects import desired_objects
from moorline_operator.desired.purge_job import purge_job

__all__ = [
    "Child",
    "check_fingerprint",
    "check_job",
    "desired_objects",
    "is_owned",
    "purge_job",
]
