# One image for every role: web, worker, `db upgrade`, `token NAME`.
#
#   docker build -t fhir-ecg .
#
# On x86-64 the torch of the default package index brings gigabytes of CUDA packages, which nothing here uses.
# PyTorch's installation page names an index of wheels for the CPU; give its address to leave them out:
#
#   docker build --build-arg TORCH_INDEX_URL=ADDRESS -t fhir-ecg .

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY fhir_ecg fhir_ecg
COPY worker worker
COPY migrations migrations
COPY docs/model-card.md docs/model-card.md
# The wheel holds the worker, the migrations, the weights and their card: nothing else is copied into the image.
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .


FROM python:3.11-slim
ARG TORCH_INDEX_URL=""
# In a layer of its own, which stays the same from one version of fhir-ecg to the next.
RUN pip install --no-cache-dir ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch==2.13.0
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    set -- /dist/*.whl && pip install --no-cache-dir "${1}[otel,postgres]"

RUN groupadd --gid 10001 fhir-ecg \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fhir-ecg \
        --shell /usr/sbin/nologin fhir-ecg \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/fhir-ecg

ENV PYTHONUNBUFFERED=1 \
    FHIR_ECG_DATA_DIR=/var/lib/fhir-ecg
WORKDIR /var/lib/fhir-ecg
# As a number, so that Kubernetes' runAsNonRoot can tell that it is not root.
USER 10001:10001
EXPOSE 8080
# No HEALTHCHECK: it would call every worker of this image unhealthy. docker-compose.yml has the web's.
ENTRYPOINT ["fhir-ecg"]
CMD ["web", "--host", "0.0.0.0", "--port", "8080"]
