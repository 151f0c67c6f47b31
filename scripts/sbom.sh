#!/usr/bin/env bash
# The software bill of materials of each program, as CycloneDX 1.5 JSON: target/sbom/PROGRAM.cdx.json. What is written is
# compared with what cargo says of the same dependencies, so that a bill that lacks a crate is an error. (It may hold a few
# more: the tool takes the features of the whole workspace.)
set -euo pipefail
cd "$(dirname "$0")/.."

out=${CARGO_TARGET_DIR:-target}/sbom
platform=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$out"

# Files named like this are written beside each manifest of the workspace; they go whatever happens.
name=lockgate-sbom-$$
trap 'rm -f -- */"$name.json"' EXIT
cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$platform" --override-filename "$name"

for crate in proxy:lockgate backend:lockgate-backend; do
    bill=$out/${crate#*:}.cdx.json
    mv "${crate%:*}/$name.json" "$bill"
    missing=$(comm -23 \
        <(cargo tree --locked --package "${crate#*:}" --edges normal,build --target "$platform" --prefix none --format '{p}' |
            sed 's/ (\*)$//; s/ (proc-macro)$//; s/ (\/.*)$//; s/ v/@/' | sort -u) \
        <(jq --raw-output '[.metadata.component, .components[]] | .[] | "\(.name)@\(.version)"' "$bill" | sort -u))
    [ -z "$missing" ] || { echo "$bill lacks" $missing >&2; exit 1; }
    jq --exit-status '
        .bomFormat == "CycloneDX" and .specVersion == "1.5" and (.components | length > 50)
        and ([.components[] | select(.purl | startswith("pkg:cargo/lockgate") | not)]
             | all(.[]; .licenses != null and .hashes[0].alg == "SHA-256"))' "$bill" >/dev/null ||
        { echo "$bill: a component lacks its licence or its checksum" >&2; exit 1; }
    echo "$bill: $(jq '.components | length' "$bill") components"
done
