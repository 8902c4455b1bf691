# The image of health-check-operator for amd64 and arm64:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.org/health-check-operator:0.1.0 --push .
#
# The builder always runs on its own processor and compiles for the target's, so nothing is emulated.

FROM --platform=$BUILDPLATFORM rust:1.95.0-bookworm AS build
# The toolchain that the image brings, whatever rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CC_x86_64_unknown_linux_gnu=x86_64-linux-gnu-gcc
ARG TARGETARCH
RUN case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu; packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
      arm64) target=aarch64-unknown-linux-gnu; packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
      *) echo "no build for $TARGETARCH" >&2; exit 1 ;; \
    esac \
    && echo "$target" > /target \
    && rustup target add "$target" \
    && if [ "$(dpkg --print-architecture)" != "$TARGETARCH" ]; then \
         apt-get update && apt-get install -y --no-install-recommends $packages && rm -rf /var/lib/apt/lists/*; \
       fi
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY bench bench
COPY crates crates
COPY examples examples
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=target-$TARGETARCH \
    cargo build --locked --release --package health-operator --target "$(cat /target)" \
    && install -D "target/$(cat /target)/release/health-check-operator" /out/health-check-operator

# The same Debian release as the builder, so the same glibc; no shell, no package manager. It brings the system's roots.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="health-check-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/health-check-operator /health-check-operator
# By number: the kubelet cannot tell whether a name is root.
USER 65532:65532
EXPOSE 8080 8081 8082
ENTRYPOINT ["/health-check-operator"]
