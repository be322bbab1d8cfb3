#!/usr/bin/env bash
# Runs docker/compose.yaml and docker/acme.yaml on a Docker engine, as root:
#   tests/compose.sh [compose|acme]...     (both)
# Needs docker with compose 2.17 or later, the image `postern` (docker/Dockerfile), one that can be had
# as eclipse-mosquitto:2, Debian's mosquitto-clients and openssl and, for acme, pebble; the image
# `postern-test-certs` is built, unless POSTERN_TEST_NO_BUILD is set because it is there. Ports 8883
# and 80 of this machine must be free. It takes a few minutes, most of which it waits for Docker's
# health checks; what it started is gone afterwards.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
name=mqtt.example.org
files=() processes=()

say() {
    printf '>> %s\n' "$*"
}

die() {
    printf 'compose: %s\n' "$*" >&2
    compose logs --tail 40 >&2 || true
    exit 1
}

compose() {
    CERTS=$work/certs/server NAMES=$name ACME=https://pebble:14000/dir \
        docker compose --progress quiet -p postern-test "${files[@]}" "$@"
}

clean_up() {
    compose down --volumes --timeout 1 >/dev/null 2>&1 || true
    [ ${#processes[@]} = 0 ] || kill "${processes[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}

# until_true WHAT SECONDS COMMAND...
until_true() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || die "waited in vain: $what"
        sleep 0.5
    done
}

container() {
    compose ps --all --quiet postern
}

state() { # TEMPLATE
    docker inspect --format "$1" "$(container)"
}

is_healthy() {
    [ "$(state '{{.State.Health.Status}}')" = healthy ]
}

logged() { # TEXT
    compose logs --no-log-prefix postern 2>&1 | grep -q -- "$1"
}

# --- clients; `to` is where they connect and whom they trust ---

publish() { # TEXT
    mosquitto_pub "${to[@]}" -t compose/test -q 1 -m "$1" 2>/dev/null
}

round_trip() { # WHEN
    local got
    until_true "a client that connects $1" 60 publish before
    mosquitto_sub "${to[@]}" -t compose/test -C 1 -W 30 >"$work/got" &
    while kill -0 $! 2>/dev/null; do
        publish "$1" || true
        sleep 0.2
    done
    got=$(cat "$work/got")
    [ "$got" = "$1" ] || die "got '$got' instead of '$1'"
    say "a message goes through $1"
}

served() { # the serial number of the certificate that is served
    openssl s_client -connect localhost:8883 -servername "$name" </dev/null 2>/dev/null |
        openssl x509 -noout -serial
}

# renew COMMAND...: which makes another certificate; a client that is connected meanwhile stays.
renew() {
    local before
    before=$(served)
    mosquitto_sub "${to[@]}" -t compose/renewed -C 1 -W 120 >"$work/got" &
    until_true "the subscriber" 20 is_connected
    "$@" >/dev/null
    until_true "the new certificate" 30 is_not "$before"
    mosquitto_pub "${to[@]}" -t compose/renewed -q 1 -m kept
    wait $!
    [ "$(cat "$work/got")" = kept ] || die "the renewal disconnected a client"
    say "a renewed certificate is served, and the client that was connected got its message"
}

is_connected() {
    compose exec -T postern /usr/sbin/postern ctl sessions | grep -q relaying
}

is_not() {
    [ "$(served)" != "$1" ]
}

# --- compose.yaml ---

check_rights() {
    local process
    process=$(state '{{.State.Pid}}')
    [ "$(state '{{.HostConfig.ReadonlyRootfs}}')" = true ] || die "the root can be written"
    grep -Eqx 'Uid:\s8883\s8883\s8883\s8883' "/proc/$process/status" || die "not Postern's user"
    grep -Eqx 'NoNewPrivs:\s1' "/proc/$process/status" || die "it may get new privileges"
    grep -Eqx 'Seccomp:\s2' "/proc/$process/status" || die "system calls are not filtered"
    ! grep -Eq 'Cap(Inh|Prm|Eff|Bnd|Amb):\s0*[1-9a-f]' "/proc/$process/status" ||
        die "it has capabilities"
    logged 'sandbox system_calls=filtered files=read-only' || die "not all of the sandbox"
    say "user 8883, read-only root, no capabilities, no new privileges, system calls filtered"
}

is_gone_in_time() {
    local begin=$SECONDS subscriber
    mosquitto_sub "${to[@]}" -t compose/stop -W 120 >/dev/null 2>&1 &
    subscriber=$!
    until_true "the subscriber" 20 is_connected
    compose stop postern
    [ "$(state '{{.State.ExitCode}}')" = 0 ] || die "exit code $(state '{{.State.ExitCode}}') after docker stop"
    logged reason=drained || die "the client was not disconnected by the drain"
    kill $subscriber 2>/dev/null || true
    wait $subscriber || true
    say "docker stop: exit code 0 after $((SECONDS - begin)) s, the client's session drained"
}

run_compose() {
    local to=(-h localhost -p 8883 --cafile "$work/certs/ca.pem")
    files=(-f "$top/docker/compose.yaml")
    "$top/certs/make-certs" --dir "$work/certs" --group 8883 localhost $name >/dev/null
    chmod 755 "$work"
    compose up -d --no-build
    round_trip "after the start"
    ! (exec 3<>/dev/tcp/127.0.0.1/1883) 2>/dev/null || die "1883 can be reached"
    check_rights
    until_true "the state healthy" 90 is_healthy
    say "healthy"
    [ "$(compose exec -T postern postern ctl reload)" = reloaded ] || die "it does not reload"
    ! compose exec -T mosquitto test -e /run/postern || die "Mosquitto has the admin socket"
    say "ctl reloads"
    renew "$top/certs/make-certs" --dir "$work/certs" --group 8883 --new-key
    compose restart mosquitto
    round_trip "after a restart of the broker"
    compose restart postern
    round_trip "after a restart of Postern"
    compose stop mosquitto
    [ "$(compose exec -T postern /usr/sbin/postern ctl health)" = alive ] ||
        die "not healthy without a broker"
    compose start mosquitto
    round_trip "after the broker was away"
    is_gone_in_time
    compose down --timeout 1
}

# --- acme.yaml, with pebble as the CA, on this machine ---

start_pebble() {
    local address
    address=$(docker network inspect bridge --format '{{(index .IPAM.Config 0).Gateway}}')
    "$top/certs/make-certs" --dir "$work/pebble" pebble localhost >/dev/null
    cat >"$work/pebble.json" <<TEXT
{"pebble": {"listenAddress": "$address:14000", "managementListenAddress": "127.0.0.1:15000",
 "certificate": "$work/pebble/server/cert.pem", "privateKey": "$work/pebble/server/privkey.pem",
 "httpPort": 80, "tlsPort": 5001, "ocspResponderURL": "", "externalAccountBindingRequired": false}}
TEXT
    pebble-challtestsrv -dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 '' -defaultIPv6 '' \
        -management 127.0.0.1:8055 >"$work/dns.log" 2>&1 &
    processes+=($!)
    PEBBLE_VA_NOSLEEP=1 pebble -config "$work/pebble.json" -dnsserver 127.0.0.1:8053 \
        >"$work/pebble.log" 2>&1 &
    processes+=($!)
    until_true "pebble" 20 fetch_root
    # Its address, whom uacme trusts, and a configuration with ACME's folder of certificates.
    sed "s|certs/cert.pem|certs/$name/fullchain.pem|; s|certs/privkey.pem|certs/$name/privkey.pem|" \
        "$top/docker/postern.conf" >"$work/postern.conf"
    cat >"$work/pebble.yaml" <<TEXT
services:
  certs:
    extra_hosts: ["pebble:$address"]
    volumes:
      - $work/pebble/ca.pem:/etc/ssl/certs/ca-certificates.crt:ro
  postern:
    volumes:
      - $work/postern.conf:/etc/postern/postern.conf:ro
TEXT
}

fetch_root() {
    openssl s_client -connect 127.0.0.1:15000 </dev/null >/dev/null 2>&1 &&
        python3 - "$work/pebble/ca.pem" >"$work/root.pem" <<'TEXT'
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
print(urllib.request.urlopen("https://localhost:15000/roots/0", context=context).read().decode())
TEXT
}

# Nobody here finds the name by DNS, so that openssl compares it with the certificate.
run_acme() {
    local to=(-h localhost -p 8883 --cafile "$work/root.pem" --insecure)
    start_pebble
    files=(-f "$top/docker/compose.yaml" -f "$top/docker/acme.yaml" -f "$work/pebble.yaml")
    compose up -d ${POSTERN_TEST_NO_BUILD:+--no-build}
    round_trip "with a certificate by ACME"
    openssl s_client -connect localhost:8883 -servername $name -CAfile "$work/root.pem" \
        -verify_hostname $name -verify_return_error </dev/null >/dev/null 2>&1 ||
        die "the certificate is not for $name, or not of pebble's CA"
    renew compose exec -T certs sh -c \
        "rm /var/lib/postern-certs/$name/cert.pem && /usr/lib/postern/postern-certs"
    compose down --volumes --timeout 1
}

trap clean_up EXIT
[ $# -gt 0 ] || set -- compose acme
for part in "$@"; do
    case $part in
    compose | acme) "run_$part" ;;
    *) die "unknown part $part; the head of $0 lists them" ;;
    esac
done
say "all of it holds"
