"""What an error of the disk means: for the port, and for the people who can mend it."""

from __future__ import annotations

import errno
import os
from typing import Final

from moorline_sidecar.errors import (
    ConfigurationError,
    OutcomeUnknown,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.stores.diagnosis import Diagnosis

_SENTENCES: Final = {
    errno.ENOENT: "a folder is missing: make the directory, or mount the volume that holds it; "
    "its parent has to be there",
    errno.ENOTDIR: "something in the way is no folder: give another directory",
    errno.ELOOP: "a folder of the store is a symbolic link: somebody has put it there",
    errno.EACCES: "this user may not write there: have the directory owned by the user of the "
    "sidecar, in a pod by securityContext.fsGroup",
    errno.EPERM: "the file system does not let this user do it: have the directory owned by the "
    "user of the sidecar",
    errno.EROFS: "the file system is read-only: mount it for writing",
    errno.EEXIST: "the file of this key is damaged, or is none of a session: move it away",
    errno.ENOSPC: "the disk is full, of bytes or of files: make room, or run the purge",
    errno.EDQUOT: "the quota of the disk is used up: raise it, or run the purge",
    errno.EMFILE: "the process has too many files open: raise its limit (ulimit -n)",
    errno.ENOLCK: "the file system has no locks: use a local disk, or NFS 4 mounted with them",
    errno.EINVAL: "the file system lacks something that the store needs, such as locks: use a "
    "local disk, or NFS 4 mounted with locks",
}
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})
_UNFIT: Final = frozenset({errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def told(error: OSError) -> str:
    """The error in a sentence, without a path that only the sidecar knows."""
    number = error.errno or 0
    return _SENTENCES.get(number) or f"the disk fails: {os.strerror(number)}"


def store_error(error: OSError, *, is_applying: bool) -> StoreError:
    """What it means for a call."""
    if is_applying:
        return OutcomeUnknown(told(error))
    return refused(error) if error.errno in _FULL else StoreUnavailable(told(error))


def refused(error: OSError) -> StoreRefused:
    """The disk is there, and does not take the file."""
    return StoreRefused(told(error))


def diagnose(directory: str, error: BaseException) -> Diagnosis:
    """In a word of the condition BackendReady, with what to do."""
    cause = error if isinstance(error, OSError) else error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    detail = f"{directory}: {told(cause) if isinstance(cause, OSError) else error}"
    if isinstance(error, ConfigurationError) or number in _UNFIT:
        return Diagnosis(reason="UnsupportedVersion", detail=detail)
    reason = "AuthenticationFailed" if number in _FORBIDDEN else "Unreachable"
    return Diagnosis(reason=reason, detail=detail)
