# The jobs of this repository. Each installs what it needs (scripts/tools.txt) where it may, and else says in one line
# what to install.
# CARGO_TARGET_DIR is respected. Everything that is tested is built with the release profile, so that the
# dependencies, which are nine tenths of the work, are built once; the image and what is measured are linked with the
# profile dist (Cargo.toml).

TOOLS      := $(HOME)/.cache/lockgate/tools
CARGO_DENY := 0.20.2
CARGO_DEB := 3.8.0
CARGO_FUZZ := 0.13.2
CARGO_CYCLONEDX := 0.5.9
TAPLO := 0.9.3
export PATH := $(PATH):$(TOOLS)/bin
# What needs a Docker engine or minutes is marked #[ignore].
CARGO_TEST := cargo test --release --locked --workspace --no-fail-fast

.PHONY: help up test test-without-engine check conf schemas fuzz bench compare sbom image deb tools clients engine programs
.PHONY: cargo-deb package fmt circles clippy doc deny
.NOTPARALLEL:

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 28

up: tools ## build, and bring up a registry on https://localhost:5043
	cargo run --release

test: tools clients engine programs package image ## unit, property and end-to-end tests, with real clients and a real engine
	$(CARGO_TEST) -- --include-ignored

test-without-engine: tools clients programs package ## the same but for those that need a Docker engine or minutes, which are named at the end
	$(CARGO_TEST)
	@echo "left out, since they need a Docker engine or minutes (make test runs them):"
	@$(CARGO_TEST) --tests --quiet -- --ignored --list 2>/dev/null | sed -n 's/\(.*\): test$$/  \1/p'

check: fmt circles clippy doc deny ## formatting, circles of files, lints, documentation, licences and sources of the dependencies

conf: tools ## write what is made of the code: conf/*.toml, their schemas, docs/configuration.md, the table of docs/rights.md
	UPDATE_EXPECT=1 cargo test --release --locked -p lockgate -p lockgate-backend --lib -- made_of_

schemas: ## have conf/*.toml checked by their JSON schemas, as an editor does it (taplo)
	@scripts/need.sh schemas
	@[ -x $(TOOLS)/taplo/bin/taplo ] || pip3 install --quiet --target $(TOOLS)/taplo taplo==$(TAPLO)
	$(TOOLS)/taplo/bin/taplo lint conf/lockgate.toml conf/backend.toml

fuzz: tools ## run each fuzz target for a minute (SECONDS_EACH=60)
	@command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-fuzz@$(CARGO_FUZZ)
	scripts/fuzz.sh

bench: tools ## measure the backend beside docker-registry, ten minutes; tables to bench/NOTES.md
	@scripts/need.sh bench
	cargo build --profile dist --locked -p lockgate-backend --bins
	python3 bench/bench.py
	python3 bench/report.py

compare: tools ## measure the proxy beside nginx, HAProxy and Caddy, half an hour; tables to bench/NOTES.md
	@scripts/need.sh compare
	cargo build --profile dist --locked -p lockgate -p lockgate-backend --bins
	python3 bench/proxy.py
	python3 bench/report.py

sbom: tools ## list what each program is built from, as CycloneDX JSON in target/sbom/
	@scripts/need.sh sbom
	@command -v cargo-cyclonedx >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-cyclonedx@$(CARGO_CYCLONEDX)
	scripts/sbom.sh

image: engine ## the container image that compose.yaml runs
	DOCKER_BUILDKIT=1 docker build --tag $(or $(LOCKGATE_IMAGE),lockgate) .

# The programs would name the directories of who builds them, and be others with each.
REMAPPED := --remap-path-prefix=$(CURDIR)=/lockgate --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
deb: tools cargo-deb ## the Debian package of both programs, in target/dist/
	RUSTFLAGS="$(REMAPPED)" cargo build --profile dist --locked -p lockgate -p lockgate-backend --bins
	scripts/deb.sh dist

# --- what the jobs need --------------------------------------------------------------------------------------------

tools:
	@command -v cargo >/dev/null || { echo "missing; please install Rust: https://rustup.rs" >&2; exit 1; }
	@scripts/need.sh build

clients:
	@scripts/need.sh test

engine:
	@scripts/engine.sh

programs: tools
	cargo build --release --locked --workspace --bins

cargo-deb:
	@scripts/need.sh deb
	@command -v cargo-deb >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-deb@$(CARGO_DEB)

# That which the tests install.
package: programs cargo-deb
	scripts/deb.sh release

# --- the parts of check --------------------------------------------------------------------------------------------

fmt:
	cargo fmt --all --check

circles:
	@scripts/need.sh check
	scripts/circles.py proxy/src backend/src oci/src settings/src

clippy: tools
	cargo clippy --release --locked --workspace --all-targets --all-features -- --deny warnings

doc: tools
	RUSTDOCFLAGS="--deny warnings" cargo doc --release --locked --workspace --no-deps

ADVISORIES := https://github.com/rustsec/advisory-db
deny: tools
	@scripts/need.sh deny
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-deny@$(CARGO_DENY)
	cargo deny --locked check --hide-inclusion-graph bans licenses sources
	@# The fuzz targets have a lock of their own, which follows our manifests.
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	@if why=$$(timeout 20 git ls-remote $(ADVISORIES) HEAD 2>&1 >/dev/null); then cargo deny --locked check advisories; \
	    else echo "advisories: NOT CHECKED, their database cannot be reached from here: $${why:-no answer within 20 s}"; fi
