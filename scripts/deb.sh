#!/bin/sh
# deb.sh PROFILE: makes the Debian package of the programs that were built with this profile, beside them. Every time
# in it is that of the commit, so that from the same programs comes the same package, byte for byte.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target} profile=$1
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

made=$target/$profile/deb
rm -rf "$made"
# With the features that the tests are built with, for which it is compiled anyway.
cargo build --release --locked --workspace --example manual
"$target/release/examples/manual" "$made"

manifest() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$2" | head -n 1; }
cat >"$made/changelog.Debian" <<END
lockgate ($(manifest version Cargo.toml)-1) unstable; urgency=medium

  * What changed is in changelog.gz.

 -- $(manifest maintainer proxy/Cargo.toml)  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
cp CHANGELOG.md "$made/changelog"
gzip -9n "$made"/man/* "$made"/changelog*

cargo deb --locked --no-build --strip --profile "$profile" --package lockgate --output "$target/$profile/"
