# The classic builder suffices: no BuildKit syntax.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
ENV PREFIX=/opt/source-stripe
RUN python -m venv --without-pip $PREFIX
WORKDIR /build
COPY requirements.lock tools/left_out_of_image.txt ./
# What is left out is three quarters of the lock's bytes, and all that may be missing. Test suites that packages ship inside
# themselves are a fifth of the rest, and no package imports its own.
RUN awk 'NR == FNR {out[$1]; next} /^[^ ]/ {split($0, name, "=="); keep = !(name[1] in out)} keep' \
        left_out_of_image.txt requirements.lock > kept.lock \
    && pip --python $PREFIX/bin/python install --no-compile --no-deps --require-hashes -r kept.lock \
    && names=$(grep '^[a-z]' left_out_of_image.txt | paste -s -d '|') \
    && ! pip --python $PREFIX/bin/python check | grep -vE " requires ($names), which is not installed\.$" \
    && find $PREFIX -type d -name tests -prune -exec rm -r {} +
COPY . ./
RUN pip install "$(grep -o '^hatchling==[^ ]*' requirements-dev.lock)" \
    && pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python $PREFIX/bin/python install --no-deps --no-compile dist/*.whl \
    && cd / && $PREFIX/bin/python /build/tools/compile_imported.py

FROM ${BASE}
COPY --from=build /opt/source-stripe /opt/source-stripe
RUN useradd --uid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin airbyte
# The CDK wants a folder for temporary files; this one can be written to even where the root file system can't.
ENV TMPDIR=/dev/shm
# It is memory: what a later sync has to remember goes to the disk if that can be written to.
ENV SQLITE_TMPDIR=/tmp
ENV PATH=/opt/source-stripe/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRBYTE_ENTRYPOINT=/opt/source-stripe/bin/source-stripe
LABEL io.airbyte.name=source-stripe io.airbyte.version=0.2.0
# A number, so that a cluster which refuses root can tell that it isn't.
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["/opt/source-stripe/bin/source-stripe"]
