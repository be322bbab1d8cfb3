# postern-certs as a container, for acme.yaml: it obtains certificates and renews them.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        busybox ca-certificates openssl uacme && \
    rm -rf /var/lib/apt/lists/*
COPY systemd/postern-certs systemd/postern-deploy-hook /usr/lib/postern/
# 8883 is Postern's group in its own container, which watches the files.
ENV POSTERN_CONF= POSTERN_GROUP=8883 POSTERN_RELOAD=true POSTERN_NAMES=/run/names
# Twice a day; after a failure, which the log explains, in an hour.
CMD ["/bin/sh", "-c", "printf '%s\\n' \"$NAMES\" >/run/names; while :; do if /usr/lib/postern/postern-certs; then sleep 43200; else sleep 3600; fi; done"]
