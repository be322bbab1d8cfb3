#!/usr/bin/env bash
# Sourced by the tests that are shell scripts.

# until_true SECONDS COMMAND...: tries it again and again.
until_true() {
    local tries=$(($1 * 10)) number
    shift
    for number in $(seq $tries); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "waited $((number / 10)) s in vain: $*" >&2
    return 1
}

# listens PORT: on 127.0.0.1.
listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
