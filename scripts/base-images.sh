#!/bin/sh
# base-images.sh: sees to the base images that the Dockerfile names. They are pulled; where that cannot be, stand-ins are
# made of what this machine has or gets from its package registries, and it is said why.
set -eu
cd "$(dirname "$0")"
slim=debian:bookworm-slim
rust=$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' ../Dockerfile)

# Whether an image is there or could be pulled.
has() {
    docker image inspect "$1" >/dev/null 2>&1 && return
    if why=$(timeout 600 docker pull --quiet "$1" 2>&1); then
        echo "base-images.sh: pulled $1"
    else
        echo "base-images.sh: making a stand-in of $1, which cannot be pulled: $(echo "$why" | tail -n 1)"
        return 1
    fi
}

if ! has "$slim"; then
    ./need.sh images
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    # As the public image: no documents, no translations, no lists of packages.
    ./mirror.sh bookworm | SOURCE_DATE_EPOCH=1700000000 mmdebstrap --variant=minbase \
        --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' bookworm "$tmp/slim.tar" - >"$tmp/log" 2>&1 ||
        { cat "$tmp/log" >&2; exit 1; }
    docker import --change 'CMD ["bash"]' "$tmp/slim.tar" "$slim" >/dev/null
fi

if ! has "$rust"; then
    version=${rust#rust:} version=${version%-bookworm}
    case "$(rustc -V)" in
        "rustc $version"[.\ ]*) ;;
        *) echo "base-images.sh: that takes Rust $version, and this is $(rustc -V)" >&2; exit 1 ;;
    esac
    # What this machine trusts goes in as an authority of its own, so that cargo works behind a mirror that has one.
    DOCKER_BUILDKIT=1 docker build --quiet --tag "$rust" --file - \
        --secret id=authorities,src=/etc/ssl/certs/ca-certificates.crt "$(rustc --print sysroot)" >/dev/null <<END
FROM $slim
RUN --mount=type=secret,id=authorities \
    apt-get update -qq \
 && apt-get install -qqy --no-install-recommends ca-certificates curl g++ gcc libc6-dev make pkg-config \
 && rm -rf /var/lib/apt/lists/* \
 && install -m 0644 /run/secrets/authorities /usr/local/share/ca-certificates/build-machine.crt \
 && update-ca-certificates
COPY bin /usr/local/bin
COPY lib /usr/local/lib
ENV CARGO_HOME=/usr/local/cargo
END
fi
