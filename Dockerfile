# The API and its worker, against a database that is given. Runs without privileges on a read-only root: the little that
# it writes goes to /data and /tmp (compose.yaml mounts both).
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements-run.lock ./
RUN python -m venv /opt/maitred \
 && /opt/maitred/bin/pip install --no-cache-dir --require-hashes -r requirements-run.lock \
 && /opt/maitred/bin/pip install --no-cache-dir hatchling
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/maitred/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/maitred/bin/pip uninstall --yes hatchling

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin maitred
COPY --from=build /opt/maitred /opt/maitred
ENV PATH=/opt/maitred/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MAITRED_SPILL_DIR=/data/spill
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["maitred"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
