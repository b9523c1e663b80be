# One image for every process of the platform (`coe up`, `coe gateway`, `coe worker central` and so
# on) and for Prefect's own server, so that Prefect's client and its server are always of one
# version. docs/operations/image.md tells how it is built and run.
#
# The base is the official image of Python by its name, for a name can be built by everybody. For a
# release, give it by its digest:
#   --build-arg PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /tools && python3 -m venv /docs && python3 -m venv --without-pip /opt/coe

# Every package by its hash, and ready to use: nothing is compiled, so there is no compiler.
COPY requirements.lock requirements-docs.lock ./
RUN /tools/bin/pip download --quiet --require-hashes --no-deps --only-binary :all: \
      --dest /wheels -r requirements.lock \
 && /tools/bin/pip install --quiet --no-index --find-links /wheels hatchling \
 && /docs/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements-docs.lock

# The files of the GraphQL page (npm's lock has their hashes), the documentation that the platform
# serves, and the wheel.
COPY . .
RUN /tools/bin/python coe/web/vendor.py \
 && /docs/bin/zensical build --clean --strict \
 && /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels .

# What the wheel needs, out of the packages whose hashes are checked above, and no index.
RUN /tools/bin/pip --python /opt/coe/bin/python install --quiet --no-index --find-links /wheels "coe[redis]" \
 && /opt/coe/bin/python -I -m coe.installation.sbom > /opt/coe/sbom.cdx.json


FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="CoE" \
      org.opencontainers.image.description="A process-orchestration centre of excellence" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"

# The user has a number, so that Kubernetes sees that it is not root.
RUN groupadd --gid 10001 coe \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/coe --shell /usr/sbin/nologin coe \
 && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/coe

COPY --from=build /opt/coe /opt/coe

# All that is written goes to the data folder and to /tmp; the rest may be read-only.
ENV PATH=/opt/coe/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COE_DATA_DIR=/var/lib/coe \
    PREFECT_HOME=/var/lib/coe/prefect \
    HOME=/var/lib/coe
USER 10001:10001
WORKDIR /var/lib/coe
EXPOSE 8700
# -I: what lies in the working folder or in PYTHONPATH is not imported.
ENTRYPOINT ["/opt/coe/bin/python", "-I", "-m", "coe.cli.main"]
CMD ["up"]
