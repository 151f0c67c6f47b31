# The jobs of this repository. Each installs what it needs where it may, and else says in one line what to install.
# CARGO_TARGET_DIR is respected. Everything that is tested is built with the release profile, so that the
# dependencies, which are nine tenths of the work, are built once; the image and what is measured are linked with the
# profile dist (Cargo.toml).

TOOLS      := $(HOME)/.cache/lockgate/tools
CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
CARGO_CYCLONEDX := 0.5.9
export PATH := $(PATH):$(TOOLS)/bin

.PHONY: help up test check conf fuzz bench compare sbom image tools clients engine programs fmt circles clippy doc deny
.NOTPARALLEL:

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

up: tools ## build, and bring up a registry on https://localhost:5043
	cargo run --release

test: tools clients engine programs image ## unit, property and end-to-end tests, with real clients and a real engine
	cargo test --release --locked --workspace --no-fail-fast

check: fmt circles clippy doc deny ## formatting, circles of files, lints, documentation, licences and sources of the dependencies

conf: tools ## write what is made of the fields of the configuration: conf/*.toml, their schemas, docs/configuration.md
	UPDATE_EXPECT=1 cargo test --release --locked -p lockgate -p lockgate-backend --lib -- made_of_the_fields

fuzz: tools ## run each fuzz target for a minute (SECONDS_EACH=60)
	@command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-fuzz@$(CARGO_FUZZ)
	scripts/fuzz.sh

bench: tools ## measure the backend beside docker-registry, ten minutes; tables and plot to docs/performance.md
	@scripts/need.sh docker-registry taskset=util-linux python3
	cargo build --profile dist --locked -p lockgate-backend --bins
	python3 bench/bench.py
	python3 bench/report.py

compare: tools ## measure the proxy beside nginx, HAProxy and Caddy, half an hour; tables and plot to docs/performance.md
	@scripts/need.sh nginx=nginx-light haproxy caddy wrk hey curl htpasswd=apache2-utils openssl taskset=util-linux python3
	cargo build --profile dist --locked -p lockgate -p lockgate-backend --bins
	python3 bench/proxy.py
	python3 bench/report.py

sbom: tools ## list what each program is built from, as CycloneDX JSON in target/sbom/
	@scripts/need.sh jq
	@command -v cargo-cyclonedx >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-cyclonedx@$(CARGO_CYCLONEDX)
	scripts/sbom.sh

image: engine ## the container image that compose.yaml runs
	DOCKER_BUILDKIT=1 docker build --tag $(or $(LOCKGATE_IMAGE),lockgate) .

# --- what the jobs need --------------------------------------------------------------------------------------------

tools:
	@command -v cargo >/dev/null || { echo "missing; please install Rust: https://rustup.rs" >&2; exit 1; }
	@scripts/need.sh cc=build-essential cmake

clients:
	@scripts/need.sh curl skopeo podman buildah htpasswd=apache2-utils openssl docker-registry busybox=busybox-static jq strace testssl=testssl.sh systemd-analyze=systemd wrk

# The second line is for the project's own machines, which have nothing but package registries to get an engine from.
ENGINE_SCRIPT := ../shared/ci/docker-engine.sh
engine:
	@if [ "$$(id -u)" = 0 ] && [ -x $(ENGINE_SCRIPT) ]; then $(ENGINE_SCRIPT); fi
	@docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 || \
	    { echo "missing; please start a Docker engine you may use, with compose and buildx: https://docs.docker.com/engine/install/" >&2; exit 1; }

programs: tools
	cargo build --release --locked --workspace --bins

# --- the parts of check --------------------------------------------------------------------------------------------

fmt:
	cargo fmt --all --check

circles:
	@scripts/need.sh python3
	scripts/circles.py proxy/src backend/src oci/src settings/src

clippy: tools
	cargo clippy --release --locked --workspace --all-targets -- --deny warnings

doc: tools
	RUSTDOCFLAGS="--deny warnings" cargo doc --release --locked --workspace --no-deps

ADVISORIES := https://github.com/rustsec/advisory-db
deny: tools
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-deny@$(CARGO_DENY)
	cargo deny --locked check --hide-inclusion-graph bans licenses sources
	@# The fuzz targets have a lock of their own, which follows our manifests.
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	@if why=$$(timeout 20 git ls-remote $(ADVISORIES) HEAD 2>&1 >/dev/null); then cargo deny --locked check advisories; \
	    else echo "advisories: NOT CHECKED, their database cannot be reached from here: $${why:-no answer within 20 s}"; fi
