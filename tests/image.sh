#!/usr/bin/env bash
# Builds docker/Dockerfile without a container engine and serves MQTT over TLS from the image.
# Needs root, Debian's buildah and debootstrap, mosquitto and its clients. Takes some minutes.
#   tests/image.sh [FOLDER]     everything is made below FOLDER, and kept (a temporary one, removed)
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

work=${1:-$(mktemp -d)}
mkdir -p "$work"
processes=()

storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
build() {
    buildah "${storage[@]}" "$@"
}

clean_up() {
    local process
    for process in "${processes[@]}"; do
        kill -- "-$process" 2>/dev/null || true # the group: buildah does not pass signals on
    done
    wait
    build rm --all >/dev/null 2>&1 || true
    [ $# -gt 0 ] || rm -rf "$work"
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

# Its labels describe it, and it has the licence of everything that it consists of.
check_image() {
    local container folder name
    build inspect --type image --format '{{ .OCIv1.Config.Labels }}' localhost/postern |
        grep -q 'image.licenses:GPL-3.0-or-later .*image.version:[0-9]'
    container=$(build from localhost/postern)
    folder=$(build mount "$container")/usr/share/doc/postern
    for name in LICENSE wolfssl-COPYING libuv1 libinih1 libmicrohttpd12 libseccomp2 libc6; do
        grep -rqi 'licen[sc]e' "$folder/$name"* || {
            echo "no licence text $name in the image" >&2
            return 1
        }
    done
    build rm "$container" >/dev/null
}

# start_in_image CONFIGURATION: the program in the image, as the image's user.
start_in_image() {
    local container
    container=$(build from localhost/postern)
    setsid buildah "${storage[@]}" run --isolation chroot --volume "$1:/etc/postern/postern.conf:ro" \
        --volume "$work/certs/server:/etc/postern/certs:ro" "$container" -- \
        /usr/sbin/postern -c /etc/postern/postern.conf 2>"$work/postern.log" &
    processes+=($!)
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
        echo "$1: got '$got'; Postern's log: $(cat "$work/postern.log")" >&2
        return 1
    fi
    echo "$1: a message went through the image"
}

main() {
    local broker_port port
    broker_port=$(free_port) port=$(free_port)
    make_base
    build bud --isolation chroot --build-arg BASE=localhost/base -f "$top/docker/Dockerfile" \
        -t localhost/postern "$top"
    build images
    check_image
    "$top/certs/make-certs" --dir "$work/certs" --group 8883 localhost >/dev/null
    chmod 755 "$work"
    sed "s/:8883/:$port/; s/:1883/:$broker_port/" "$top/docker/postern.conf" >"$work/postern.conf"
    setsid mosquitto -p "$broker_port" 2>"$work/mosquitto.log" &
    processes+=($!)
    wait_for_port "$broker_port"
    start_in_image "$work/postern.conf"
    wait_for_port "$port"
    echo "runs as user $(ps -o uid=,args= -C postern | awk '$3 == "-c" && $4 == "/etc/postern/postern.conf" { print $1 }')"
    round_trip TLSv1.2 "$port"
    round_trip TLSv1.3 "$port"
}

trap 'clean_up "$@"' EXIT
main
