# The connector as an image: no build tools in it, nothing written at run time, no root.
#
#   docker run --read-only --tmpfs /tmp --cap-drop ALL -v "$PWD/connector.yaml:/etc/xdm/connector.yaml:ro" IMAGE

FROM python:3.14-slim-trixie AS python
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# The connector's own wheel. The lock with the tools is here because it pins the build backend, too.
FROM python AS wheel
WORKDIR /src
COPY requirements.lock ./
RUN pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY connector connector
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# A virtual environment with what runs, and not even pip.
FROM python AS packages
COPY config/docker/requirements.lock /src/runtime.lock
RUN python -m venv --without-pip /opt/xdm \
    && pip --python /opt/xdm/bin/python install --only-binary :all: --require-hashes \
        --requirement /src/runtime.lock
COPY --from=wheel /wheels /wheels
RUN pip --python /opt/xdm/bin/python install --no-deps --no-index /wheels/*.whl

FROM python
COPY --from=packages /opt/xdm /opt/xdm
ENV PATH=/opt/xdm/bin:$PATH
# A number, so that orchestrators can see that it is not root.
USER 10001:10001
EXPOSE 9480
# Healthy means that the process works. A held route or an outage must not get it restarted.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 9480, timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
# In exec form: SIGTERM reaches the connector itself, which finishes what is in flight and commits.
ENTRYPOINT ["xdm-connector"]
CMD ["run", "--config", "/etc/xdm/connector.yaml"]
