#!/usr/bin/env bash
# Builds docker/Dockerfile without a container engine, and serves MQTT over TLS from the image.
#   tests/image.sh [--keep FOLDER] [PROCESSOR...]     of amd64, arm64, arm/v7 (all of them)
# Images for other processors than this machine's run under qemu-user. Needs root, Debian's buildah,
# debootstrap, qemu-user-static, jq, mosquitto and its clients. Takes some minutes for each. Everything
# is made below FOLDER and kept there, or below a temporary one that is removed. The last lines are a
# table.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

keep=''
if [ "${1-}" = --keep ]; then
    keep=$2
    shift 2
fi
work=${keep:-$(mktemp -d)}
mkdir -p "$work"
processes=() table=()

storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
build() {
    buildah "${storage[@]}" "$@"
}

stop_processes() {
    local process
    for process in "${processes[@]}"; do
        kill -- "-$process" 2>/dev/null || true # the group: buildah does not pass signals on
    done
    wait
    processes=()
}

clean_up() {
    stop_processes
    build rm --all >/dev/null 2>&1 || true
    [ -n "$keep" ] || rm -rf "$work"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for_port() {
    local tries
    for tries in $(seq 100); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
        sleep 0.1
    done
    echo "nothing listens on port $1 after $((tries / 10)) s" >&2
    return 1
}

# The image that the Dockerfile starts from, made of the distribution this machine uses.
make_base() {
    local mirror suite container
    # shellcheck disable=SC2016 # apt's own placeholders
    read -r mirror suite < <(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI) $(RELEASE)' \
        'Identifier: Packages' | sed -n 's/^Debian|Debian|//p')
    [ -d "$work/base" ] || debootstrap --variant=minbase "$suite" "$work/base" "$mirror" >"$work/debootstrap.log"
    container=$(build from scratch)
    build add --quiet "$container" "$work/base" / >/dev/null
    build commit --quiet --rm "$container" localhost/base >/dev/null
}

# emulator PROCESSOR: what runs its programs here; nothing for this machine's own.
emulator() {
    local name
    case $1 in
    amd64) name=x86_64 ;;
    arm64) name=aarch64 ;;
    arm/v7) name=arm ;;
    *)
        echo "unknown processor $1; the head of $0 lists them" >&2
        exit 2
        ;;
    esac
    [ "$name" = "$(uname -m)" ] || echo "/usr/bin/qemu-$name-static"
}

# Debian 12's buildah does not give it to the Dockerfile.
this_platform() {
    echo "linux/$(dpkg --print-architecture | sed 's|armhf|arm/v7|')"
}

say_wrong() { # WHAT
    echo "$image: $1" >&2
    return 1
}

# Its labels describe it, it has a health check that needs no shell, the licence of everything that
# it consists of, and a bill of materials that names it.
check_image() { # PROCESSOR
    local container root folder name
    build inspect --type image --format '{{ .OCIv1.Architecture }} {{ .OCIv1.Config.User }}' "$image" |
        grep -qx "${1%/*} 8883:8883" || say_wrong "not for $1, or not for Postern's user"
    build inspect --type image --format '{{ .OCIv1.Config.Labels }}' "$image" |
        grep -q 'licenses:GPL-3.0-or-later .*revision:test .*source:https://example.org .*version:[0-9]' ||
        say_wrong "labels are missing"
    build inspect --type image --format '{{ .Docker.Config.Healthcheck.Test }}' "$image" |
        grep -qF '[CMD /usr/sbin/postern ctl health]' || say_wrong "the health check is missing"
    container=$(build from "$image")
    root=$(build mount "$container") folder=$root/usr/share/doc/postern
    [ ! -e "$root/bin/sh" ] || say_wrong "there is a shell"
    [ "$(stat --format %u:%g:%a "$root/run" "$root/run/postern" | tr '\n' ' ')" = "0:0:755 8883:8883:755 " ] ||
        say_wrong "the folder of the admin socket is not Postern's"
    for name in LICENSE wolfssl-COPYING libuv1 libinih1 libmicrohttpd12 libseccomp2 libc6; do
        grep -rqi 'licen[sc]e' "$folder/$name"* || say_wrong "there is no licence text $name"
        [ "$name" = LICENSE ] || jq -e --arg name "${name%-COPYING}" \
            'any(.packages[]; .name == $name and (.versionInfo | length) > 0)' \
            "$folder/postern.spdx.json" >/dev/null || say_wrong "the bill of materials lacks $name"
    done
    megabytes=$(du -sm --apparent-size "$root" | cut -f 1)
    compressed=$(tar -C "$root" -c . | gzip | wc -c)
    build rm "$container" >/dev/null
}

# in_image COMMAND...: as the image's user.
in_image() {
    local qemu=() mount=()
    if [ -n "$emulator" ]; then
        mount=(--volume "$emulator:/qemu:ro")
        qemu=(/qemu)
    fi
    buildah "${storage[@]}" run --isolation chroot "${mount[@]}" \
        --volume "$work/postern.conf:/etc/postern/postern.conf:ro" \
        --volume "$work/certs/server:/etc/postern/certs:ro" "$container" -- "${qemu[@]}" "$@"
}

start_in_image() {
    container=$(build from "$image")
    set -m # a process group of its own
    in_image /usr/sbin/postern -c /etc/postern/postern.conf 2>"$work/postern.log" &
    processes+=($!)
    set +m
}

# Its process and its user; the container is that of buildah alone.
process_and_user() {
    ps -eo pid=,uid=,args= |
        sed -n 's|^ *\([0-9]*\) *\([0-9]*\) \(/qemu \)\{0,1\}/usr/sbin/postern -c /etc/postern/.*|\1 \2|p'
}

# mosquitto_pub takes --tls-version for the least version: only OpenSSL's configuration limits it.
limit_tls() { # MaxProtocol
    cat >"$work/openssl.cnf" <<TEXT
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = limits
[limits]
MinProtocol = $1
MaxProtocol = $1
TEXT
}

round_trip() { # TLS_VERSION PORT
    local got to=(-h localhost -p "$2" --cafile "$work/certs/ca.pem" -t image/test)
    limit_tls "$1"
    OPENSSL_CONF=$work/openssl.cnf mosquitto_sub "${to[@]}" -C 1 -W 20 >"$work/got" &
    local subscriber=$!
    while kill -0 $subscriber 2>/dev/null; do
        OPENSSL_CONF=$work/openssl.cnf mosquitto_pub "${to[@]}" -m "hello over $1"
        sleep 0.2
    done
    got=$(cat "$work/got")
    if [ "$got" != "hello over $1" ] || ! grep -q " tls=${1#TLSv} " "$work/postern.log"; then
        say_wrong "$1: got '$got'; Postern's log: $(cat "$work/postern.log")"
    fi
}

# one_image PROCESSOR: built, looked at, started, and used.
one_image() {
    local image=localhost/postern:${1/\//} emulator container megabytes compressed
    local port process user
    emulator=$(emulator "$1")
    build bud --isolation chroot --format docker --platform "linux/$1" \
        --build-arg BASE=localhost/base --build-arg BUILDPLATFORM="$(this_platform)" \
        --build-arg REVISION=test --build-arg SOURCE=https://example.org \
        -f "$top/docker/Dockerfile" -t "$image" "$top"
    check_image "$1"
    port=$(free_port)
    sed "s/:8883/:$port/; s/:1883/:$broker_port/" "$top/docker/postern.conf" >"$work/postern.conf"
    start_in_image
    wait_for_port "$port"
    read -r process user < <(process_and_user)
    [ "$user" = 8883 ] || say_wrong "runs as user $user"
    [ "$(in_image /usr/sbin/postern ctl health)" = alive ] || say_wrong "is not healthy"
    [ "$(in_image /usr/sbin/postern ctl reload)" = reloaded ] || say_wrong "does not reload"
    round_trip TLSv1.2 "$port"
    round_trip TLSv1.3 "$port"
    kill "$process"
    wait "${processes[-1]}" || say_wrong "does not stop: $(cat "$work/postern.log")"
    unset 'processes[-1]'
    ! in_image /usr/sbin/postern ctl health 2>/dev/null || say_wrong "is healthy although it has ended"
    build rm "$container" >/dev/null
    table+=("$(printf '%-7s %3d MB, compressed %4.1f MB; health, TLS 1.2 and 1.3: ok%s' "$1" \
        "$megabytes" "${compressed}e-6" "${emulator:+ under ${emulator##*/}}")")
}

main() {
    local broker_port processor
    for processor in "$@"; do
        emulator "$processor" >/dev/null
    done
    make_base
    "$top/certs/make-certs" --dir "$work/certs" --group 8883 localhost >/dev/null
    chmod 755 "$work"
    broker_port=$(free_port)
    setsid mosquitto -p "$broker_port" 2>"$work/mosquitto.log" &
    processes+=($!)
    wait_for_port "$broker_port"
    for processor in "$@"; do
        one_image "$processor"
    done
    printf '%s\n' "" "${table[@]}"
}

trap clean_up EXIT
[ $# -gt 0 ] || set -- amd64 arm64 arm/v7
main "$@"
