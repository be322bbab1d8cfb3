#!/usr/bin/env bash
# Whether a build of Postern serves MQTT over TLS: tests/round-trip.sh COMMAND [ARGUMENT...]
#
# COMMAND starts it, in an emulator for example. A handshake of each version by OpenSSL's client, then
# a message from mosquitto_pub to mosquitto_sub through Postern and Mosquitto.
set -euo pipefail
export PATH=$PATH:/usr/sbin
top=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
processes=()

# Postern is killed, not stopped: qemu 7.2 for x86-64 dies of a signal to any libuv loop, a program of
# ten lines included.
finish() {
    local status=$?
    [ ${#processes[@]} -eq 0 ] || kill -KILL "${processes[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    [ $status = 0 ] || cat "$folder"/*.log
    rm -rf "$folder"
    exit $status
}
trap finish EXIT

. "$top/tests/wait.sh"

"$top/certs/make-certs" --dir "$folder/certs" localhost 127.0.0.1 >/dev/null
printf 'listener 0 %s\nallow_anonymous true\n' "$folder/broker" >"$folder/mosquitto.conf"
[ "$(id -u)" != 0 ] || echo "user root" >>"$folder/mosquitto.conf"
mosquitto -c "$folder/mosquitto.conf" >"$folder/mosquitto.log" 2>&1 &
processes+=($!)
until_true 60 test -S "$folder/broker"

"$@" --listen 127.0.0.1:0 --backend "unix:$folder/broker" --cert "$folder/certs/server/cert.pem" \
    --key "$folder/certs/server/privkey.pem" 2>"$folder/postern.log" &
processes+=($!)
until_true 60 grep ' ready ' "$folder/postern.log"
port=$(sed -n 's/.* ready .*listen=127.0.0.1:\([0-9]*\).*/\1/p' "$folder/postern.log")

for version in tls1_2 tls1_3; do
    openssl s_client -connect "127.0.0.1:$port" "-$version" -CAfile "$folder/certs/ca.pem" \
        -verify_return_error -brief </dev/null
done
client=(-h 127.0.0.1 -p "$port" --cafile "$folder/certs/ca.pem" -q 1 -t round/trip)
mosquitto_pub "${client[@]}" -m retained -r
mosquitto_sub "${client[@]}" >"$folder/received" &
processes+=($!)
until_true 60 grep '^retained$' "$folder/received"
mosquitto_pub "${client[@]}" -m live
until_true 60 grep '^live$' "$folder/received"
echo "2 handshakes and 2 messages"
