# diffusiond with the models it ships, on CPU.
#
#   docker build -t diffusiond .
#   docker run --rm --read-only --cap-drop=ALL -p 50051:50051 -p 8080:8080 -p 9464:9464 diffusiond
#
# Arguments after the image's name replace the flags below. Other models: mount a repository on
# /models. The programs diffusionctl, diffusion-train, diffusion-eval and diffusion-publish are inside
# too, and a bill of materials: /usr/share/doc/diffusiond/sbom.spdx.json.

FROM debian:bookworm-slim AS build
WORKDIR /source
# The packages change less often than the sources: a layer of their own.
COPY deploy/packages.txt deploy/install_packages.sh deploy/
RUN deploy/install_packages.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
ENV CCACHE_DIR=/ccache
# What --version says: there is no git here. docker build --build-arg COMMIT=$(git rev-parse HEAD) ...
ARG COMMIT=unknown
RUN --mount=type=cache,target=/ccache \
    cmake --preset release -DDIFFUSIOND_BUILD_TESTS=OFF -DDIFFUSIOND_COMMIT=$COMMIT && \
    cmake --build build/release --target diffusiond diffusionctl diffusion-train \
        diffusion-eval diffusion-publish && \
    strip build/release/bin/diffusion*

FROM debian:bookworm-slim AS runtime
COPY deploy/packages.txt deploy/install_packages.sh /tmp/deploy/
RUN /tmp/deploy/install_packages.sh run && rm -rf /var/lib/apt/lists/* /tmp/deploy

# What is in the image, told by dpkg in it; Python is in the image that builds alone.
FROM build AS sbom
ARG COMMIT=unknown
RUN --mount=type=bind,from=runtime,target=/image \
    deploy/sbom.py --root=/image --version=$COMMIT --out=/sbom.spdx.json

FROM runtime
LABEL org.opencontainers.image.title="diffusiond" \
      org.opencontainers.image.description="Images from DDPM-family diffusion models, over gRPC"
COPY --from=build /source/build/release/bin/diffusiond /source/build/release/bin/diffusionctl \
    /source/build/release/bin/diffusion-train /source/build/release/bin/diffusion-eval \
    /source/build/release/bin/diffusion-publish \
    /usr/local/bin/
COPY --from=sbom /sbom.spdx.json /usr/share/doc/diffusiond/sbom.spdx.json
COPY model/checkpoints /models
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 50051 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["diffusionctl", "health", "--server=127.0.0.1:50051"]
# The exec form: the server is process 1 and gets the signals itself.
ENTRYPOINT ["diffusiond"]
CMD ["--model_repository=/models", "--default_model=fashion-mnist", "--listen=0.0.0.0:50051", "--http_listen=0.0.0.0:8080", "--metrics_listen=0.0.0.0:9464"]
