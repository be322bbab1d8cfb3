#include "broker/source.h"

#include <stdint.h>

/* On loopback, 127.0.0.1 among them: 900,000 sessions with half of the usual ports of each. */
enum { LOOPBACK_SOURCES = 64 };

static size_t count_family(const struct config_sources *configured, uint8_t family) {
    size_t count = 0;
    for (size_t i = 0; i < configured->count; i++) {
        count += configured->all[i].family == family;
    }
    return count;
}

static bool can_use_loopback(const struct config_sources *configured, const struct address *to) {
    return configured->count == 0 && to->family == ADDRESS_IPV4 && address_is_loopback(to);
}

size_t source_count(const struct config_sources *configured, const struct address *to) {
    size_t count = count_family(configured, to->family);
    if (count > 0) {
        return count;
    }
    return can_use_loopback(configured, to) ? LOOPBACK_SOURCES : 1;
}

struct address source_at(const struct config_sources *configured, const struct address *to,
                         size_t index) {
    for (size_t i = 0; i < configured->count; i++) {
        if (configured->all[i].family == to->family && index-- == 0) {
            return configured->all[i];
        }
    }
    if (index > 0 && can_use_loopback(configured, to)) {
        const uint8_t bytes[] = {127, 0, 0, (uint8_t)(index + 1)};
        return address_from_bytes(bytes, sizeof bytes, 0);
    }
    return (struct address){0};
}
