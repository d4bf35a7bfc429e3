"""What the client's errors mean to the port.

The client repeats by itself what a member refused before it did it, and what only reads. Whatever
else went out may have been applied, unless the error is one that members raise before they begin.
"""

from __future__ import annotations

import re
from typing import Final

from hazelcast.errors import (
    AccessControlError,
    HazelcastError,
    HazelcastOverloadError,
    NativeOutOfMemoryError,
    NoDataMemberInClusterError,
    ReachedMaxSizeError,
    SplitBrainProtectionError,
)

from moorline_sidecar.stores.causes import told

CLIENT_ERRORS: Final = (HazelcastError, OSError)
"""Everything that a call may raise for a reason outside of this process."""

FULL: Final = (NativeOutOfMemoryError, ReachedMaxSizeError)
"""A member has no room for it."""

NOT_BEGUN: Final = (
    *FULL,
    AccessControlError,
    HazelcastOverloadError,
    NoDataMemberInClusterError,
    SplitBrainProtectionError,
)
"""A member raises them before it does anything."""

_FROM_SERVER: Final = re.compile(r"^Exception from server: (?:[\w.$]+: )?")


def readable(error: BaseException) -> str:
    """The error in a line, without the stack of the member."""
    return told(error, _FROM_SERVER.sub("", str(error)))
