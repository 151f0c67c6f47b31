#!/bin/sh
# moto.sh: what a store of objects keeps to, asked of another S3 server than the SeaweedFS of every run.
set -eu
cd "$(dirname "$0")/.."
MOTO=$HOME/.cache/lockgate/tools/moto-5.2.5

[ -d "$MOTO" ] || { pip3 install --quiet --target "$MOTO.new" 'moto[s3,server]==5.2.5' && mv "$MOTO.new" "$MOTO"; }
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PYTHONPATH=$MOTO python3 "$MOTO/bin/moto_server" -H 127.0.0.1 -p "$port" >"$MOTO.log" 2>&1 &
trap 'kill $!' EXIT
curl --silent --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port/"
# moto answers 500 where an aborted upload is completed.
LOCKGATE_TEST_S3=127.0.0.1:$port cargo test --release --locked -p lockgate-backend --lib -- contract::s3:: --skip an_aborted_upload_makes_no_object
