# Both programs in one small image; compose.yaml says who runs which. Nothing of the build stays in it.

FROM rust:1.95-bookworm AS build
# zlib-ng, which pingora-core brings along and nothing here calls, is built with cmake.
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches are shared by every clone on this machine. cargo goes by file times, which say nothing between two clones:
# so our own crates are always compiled again, and only the dependencies are kept.
RUN --mount=type=cache,id=lockgate-cargo,target=/usr/local/cargo/registry \
    --mount=type=cache,id=lockgate-target,target=/src/target,sharing=locked \
    find . -name '*.rs' -not -path './target/*' -exec touch {} + \
 && cargo build --profile dist --locked -p lockgate -p lockgate-backend \
 && install -D --strip --target-directory /out/usr/local/bin target/dist/lockgate target/dist/lockgate-backend \
 && install -D --mode 0644 --target-directory /out/etc/lockgate conf/lockgate.toml conf/backend.toml

FROM debian:bookworm-slim
# Whom to trust in front of a bucket of S3. The caches of apt, 74 MB, are kept by a base that is not the public image.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
# A new named volume takes owner and mode from the directory it is mounted on, so nothing has to run as root to prepare it.
RUN groupadd --gid 10001 lockgate \
 && useradd --uid 10001 --gid lockgate --no-create-home --home-dir /var/lib/lockgate --shell /usr/sbin/nologin lockgate \
 && install -d --owner lockgate --group lockgate --mode 0750 /var/lib/lockgate /var/lib/registry
COPY --from=build /out /
USER 10001:10001
# certs/ and conf/htpasswd are here; /var/lib/registry is the backend's.
WORKDIR /var/lib/lockgate
EXPOSE 5043
STOPSIGNAL SIGTERM
CMD ["lockgate", "serve", "--config", "/etc/lockgate/lockgate.toml"]
