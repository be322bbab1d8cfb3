#!/usr/bin/env bash
# Does what ./dev run says that one can do: tests/dev-run.sh, in the project's folder
#
# A message passes from mosquitto_pub to mosquitto_sub by TLS, and Ctrl-C ends everything. The ports
# 1883 and 8883 must be free.
set -euo pipefail
set -m # each job is a process group of its own, which Ctrl-C reaches as a whole
folder=$(mktemp -d)
trap 'kill %1 %2 2>/dev/null; rm -rf "$folder"' EXIT

. tests/wait.sh

client() { # PROGRAM ARGUMENT...
    "$1" -h localhost -p 8883 --cafile certs/local/ca.pem "${@:2}"
}

for port in 1883 8883; do
    ! listens $port || { echo "something listens on port $port" >&2; exit 1; }
done
./dev run &
until_true 300 listens 8883
client mosquitto_sub -t 'demo/#' -v >"$folder/received" &
until_true 300 sh -c "mosquitto_pub -h localhost -p 8883 --cafile certs/local/ca.pem -t demo/hello -m hi &&
    grep -qx 'demo/hello hi' '$folder/received'"
[ "$(build/postern ctl -c build/run.conf reload)" = reloaded ] ||
    { echo "ctl does not reload it" >&2; exit 1; }
kill -INT -- "-$(jobs -p %1)"
status=0
wait %1 || status=$?
[ $status = 130 ] || [ $status = 0 ] || # 0: Postern had stopped before the shell looked
    { echo "./dev run ended with $status" >&2; exit 1; }
for port in 1883 8883; do
    ! listens $port || { echo "something still listens on port $port" >&2; exit 1; }
done
echo "1 message"
