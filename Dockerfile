# The images of Moorline: targets `sidecar` and `operator`. docs/images.md says how to build them,
# and what is in them.
ARG PYTHON_IMAGE=python:3.13-slim


# --- What both images need while they are built; nothing of it stays but /opt.
FROM ${PYTHON_IMAGE} AS builder

# How pip reaches an index, where it has to be told. Proxies are known to Docker itself. What is
# secret comes as a mount: `pip.conf` in the place of pip's own, `ca` as /run/secrets/ca.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore

# The build backend of the distributions, and what it needs: these lines of the lock, no others.
COPY requirements/dev.lock /src/requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca \
    tools='hatchling|packaging|pathspec|pluggy|setuptools|tomlkit|trove-classifiers' \
    && awk "/^[a-z]/ { kept = /^($tools)==/ } kept" /src/requirements/dev.lock > /src/tools.lock \
    && python3 -m venv /build \
    && /build/bin/python3 -m pip install --require-hashes --requirement /src/tools.lock

# Bytecode has a tree of its own, because the standard library of the base image comes without, and
# compiling it takes a second of every start. It is never compared with its source: both stay as
# they are. One process writes it, so that the same source gives the same bytes.
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/moorline/bytecode \
    COMPILE="python3 -m compileall -q -f --invalidation-mode unchecked-hash"
RUN python3 -m venv --without-pip /opt/moorline \
    && rm /opt/moorline/bin/[Aa]ctivate* \
    && $COMPILE -x '/(test|idlelib|tkinter|turtledemo|ensurepip|pydoc_data|(site|dist)-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY LICENSE /opt/moorline/
# Seconds since 1970: the age of every file in the images.
ARG SOURCE_DATE_EPOCH=1577836800


FROM builder AS wheels
# For the parts of the sidecar that are in C, which may be missing: Python does the same. The
# headers of Debian's own Python are a package; other Pythons bring theirs.
RUN include="$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')" \
    && [ -e "$include/Python.h" ] || headers=python3-dev; \
    if [ -n "$headers" ] || ! command -v cc; then \
        wait='-o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10'; \
        apt-get $wait update \
        && apt-get $wait install --yes --no-install-recommends gcc libc6-dev $headers \
        || echo 'WARNING: no compiler in reach' >&2; \
    fi
COPY crds /src/crds
COPY operator /src/operator
COPY sidecar /src/sidecar
RUN /build/bin/python3 -m pip wheel --no-deps --no-build-isolation --no-index \
        --wheel-dir /wheels /src/crds /src/operator /src/sidecar \
    && { python3 -m zipfile --list /wheels/moorline_sidecar-*.whl | grep '/_compiled.*[.]so' \
        || echo 'WARNING: nothing was compiled; the sidecar answers hits by Python' >&2; }


# By name: of a path pip notes the hash of the archive, in which modes of a checkout are.
FROM builder AS sidecar-files
COPY requirements/sidecar.lock /src/requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m pip --python /opt/moorline/bin/python3 install --no-compile \
        --require-hashes --requirement /src/requirements/sidecar.lock
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    python3 -m pip --python /opt/moorline/bin/python3 install --no-compile \
        --no-deps --no-index --find-links /wheels moorline-api moorline-sidecar \
    && $COMPILE /opt/moorline/lib \
    && find /opt -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} + \
    && mkdir /image && mv /opt /image


# The official client has a class for every object of Kubernetes, of which next to none is loaded:
# they stay uncompiled.
FROM builder AS operator-files
COPY requirements/operator.lock /src/requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m pip --python /opt/moorline/bin/python3 install --no-compile \
        --require-hashes --requirement /src/requirements/operator.lock
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    python3 -m pip --python /opt/moorline/bin/python3 install --no-compile \
        --no-deps --no-index --find-links /wheels moorline-api moorline-operator \
    && $COMPILE -x '/kubernetes/(aio/)?client/(api|models)/' /opt/moorline/lib \
    && find /opt -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} + \
    && mkdir /image && mv /opt /image


# --- What both images have in common. Nothing is run here: a layer that is only copied is the
# same in every build.
FROM ${PYTHON_IMAGE} AS runtime
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION
ENV PATH=/opt/moorline/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/moorline/bytecode
LABEL org.opencontainers.image.base.name="$PYTHON_IMAGE" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.vendor="Moorline" \
      org.opencontainers.image.version="$VERSION"
# A number, so that a kubelet can tell that it is not root. Any other does as well.
USER 65532:65532


FROM runtime AS sidecar
LABEL org.opencontainers.image.title="moorline-sidecar" \
      org.opencontainers.image.description="Serves clustered HTTP sessions to the application beside it."
COPY --from=sidecar-files /image /
ENTRYPOINT ["moorline-sidecar"]


FROM runtime AS operator
LABEL org.opencontainers.image.title="moorline-operator" \
      org.opencontainers.image.description="Makes a Kubernetes cluster what its SessionClusters say."
COPY --from=operator-files /image /
ENTRYPOINT ["moorline-operator"]
