#!/usr/bin/env bash
# bare.sh: shows that a clone stands alone. It makes a bare Debian in a temporary directory, with nothing but what it
# takes to have a clone and Rust; clones there what is committed here, into an empty directory; and runs `make up`, until
# the registry answers, and `make test-without-engine`. Takes root, half an hour and 8 GB, and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/need.sh bare
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
scripts/mirror.sh bookworm |
    mmdebstrap --quiet --variant=minbase --include=git,make,curl,ca-certificates bookworm "$root" -
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
# What this machine trusts, so that cargo works behind a mirror with an authority of its own.
cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/build-machine.crt"
chroot "$root" update-ca-certificates >/dev/null 2>&1
mkdir "$root/opt/rust" "$root/srv/empty"
git bundle create --quiet "$root/srv/lockgate.bundle" HEAD

# The root of a mount namespace, and not only of a chroot, so that the tests may make namespaces of their own.
enter='
    mount --bind "$0" "$0"
    cd "$0"
    mount -t proc proc proc
    mount --rbind /dev dev
    mount --rbind /sys sys
    mount --bind --options ro "$1" opt/rust
    pivot_root . mnt
    umount --recursive --lazy mnt
    exec env --ignore-environment HOME=/root PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -euxc "$2"'
inside=$(cat <<'END'
    cd /srv/empty
    git clone --quiet ../lockgate.bundle lockgate
    cd lockgate
    make up &
    up=$!
    sh -c 'until [ "$(curl --silent --cacert certs/devdockerCA.crt --output /dev/null --write-out "%{http_code}" \
        https://localhost:5043/v2/)" = 401 ]; do kill -0 "$0" && sleep 1 || exit 1; done' "$up"
    kill "$up"
    wait "$up" || :
    make test-without-engine
END
)
unshare --mount --pid --fork --kill-child sh -ec "$enter" "$root" "$(rustc --print sysroot)" "$inside" </dev/null
echo "bare.sh: the clone stands alone"
