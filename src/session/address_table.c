#include "session/address_table.h"

#include "core/hash.h"
#include "session/rate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { WAYS = 8, SETS = ADDRESS_TABLE_PLACES / WAYS, LOCKS = 64 };

struct place {
    uint8_t bytes[16];
    uint32_t connections, handshakes;
    uint64_t paid_until_us; /* the rate: an address may be ahead of time by one period */
    uint8_t family;         /* ADDRESS_NONE: the place is free */
};

struct address_table {
    uint64_t key[2]; /* random, so that nobody can choose addresses that share a set */
    pthread_mutex_t locks[LOCKS];
    struct place places[SETS][WAYS];
};

struct address_table *address_table_new(void) {
    struct address_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    if (getrandom(table->key, sizeof table->key, 0) != (ssize_t)sizeof table->key) {
        free(table);
        return NULL;
    }
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&table->locks[i], NULL);
    }
    return table;
}

void address_table_free(struct address_table *table) {
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_destroy(&table->locks[i]);
    }
    free(table);
}

/* --- places --- */

static size_t set_of(const struct address_table *table, const struct address *key) {
    uint64_t half[2];
    memcpy(half, key->bytes, sizeof half);
    return hash_mix(hash_mix(half[0] ^ table->key[0]) + half[1] + table->key[1] + key->family) %
           SETS;
}

static bool is_of(const struct place *place, const struct address *key) {
    return key->family != ADDRESS_NONE && place->family == key->family &&
           memcmp(place->bytes, key->bytes, sizeof place->bytes) == 0;
}

static uint32_t weight(const struct place *place) {
    return place->connections + place->handshakes;
}

static struct place *find(struct place *set, const struct address *key) {
    for (size_t i = 0; i < WAYS; i++) {
        if (is_of(&set[i], key)) {
            return &set[i];
        }
    }
    return NULL;
}

/* The address's place, or the lightest one for it; NULL if all have more open than the one thing
 * that a new address has. */
static struct place *find_or_make(struct place *set, const struct address *key) {
    struct place *place = find(set, key), *lightest = &set[0];
    if (place != NULL || key->family == ADDRESS_NONE) {
        return place;
    }
    for (size_t i = 1; i < WAYS; i++) {
        if (set[i].family == ADDRESS_NONE || weight(&set[i]) < weight(lightest)) {
            lightest = &set[i];
        }
        if (lightest->family == ADDRESS_NONE) {
            break;
        }
    }
    if (lightest->family != ADDRESS_NONE && weight(lightest) > 1) {
        return NULL;
    }
    *lightest = (struct place){.family = key->family};
    memcpy(lightest->bytes, key->bytes, sizeof lightest->bytes);
    return lightest;
}

/* Locks the set of an address, whose key is left in `key`. */
static struct place *lock_set(struct address_table *table, const struct address *address,
                              struct address *key, pthread_mutex_t **lock) {
    *key = address_client_key(address);
    size_t set = set_of(table, key);
    *lock = &table->locks[set % LOCKS];
    pthread_mutex_lock(*lock);
    return table->places[set];
}

/* --- connections --- */

static enum address_answer count_connection(struct place *place, uint64_t now_ms,
                                            size_t max_connections, struct config_rate rate) {
    if (max_connections > 0 && place->connections >= max_connections) {
        return ADDRESS_HAS_TOO_MANY;
    }
    if (rate.count > 0 && !rate_pay(&place->paid_until_us, now_ms, rate)) {
        return ADDRESS_IS_TOO_FAST;
    }
    place->connections++;
    return ADDRESS_ADMITTED;
}

enum address_answer address_table_enter(struct address_table *table, const struct address *address,
                                        uint64_t now_ms, size_t max_connections,
                                        struct config_rate rate) {
    struct address key;
    pthread_mutex_t *lock;
    struct place *place = find_or_make(lock_set(table, address, &key, &lock), &key);
    enum address_answer answer =
        place != NULL ? count_connection(place, now_ms, max_connections, rate) : ADDRESS_ADMITTED;
    pthread_mutex_unlock(lock);
    return answer;
}

/* An address that gave way and came back has forgotten what it had open before. */
static void decrease(uint32_t *counter) {
    *counter -= *counter > 0;
}

void address_table_leave(struct address_table *table, const struct address *address) {
    struct address key;
    pthread_mutex_t *lock;
    struct place *place = find(lock_set(table, address, &key, &lock), &key);
    if (place != NULL) {
        decrease(&place->connections);
    }
    pthread_mutex_unlock(lock);
}

/* --- handshakes --- */

void address_table_handshake_begins(struct address_table *table, const struct address *address) {
    struct address key;
    pthread_mutex_t *lock;
    struct place *place = find_or_make(lock_set(table, address, &key, &lock), &key);
    if (place != NULL) {
        place->handshakes++;
    }
    pthread_mutex_unlock(lock);
}

void address_table_handshake_ends(struct address_table *table, const struct address *address) {
    struct address key;
    pthread_mutex_t *lock;
    struct place *place = find(lock_set(table, address, &key, &lock), &key);
    if (place != NULL) {
        decrease(&place->handshakes);
    }
    pthread_mutex_unlock(lock);
}

size_t address_table_handshakes(struct address_table *table, const struct address *address) {
    struct address key;
    pthread_mutex_t *lock;
    const struct place *place = find(lock_set(table, address, &key, &lock), &key);
    size_t handshakes = place != NULL ? place->handshakes : 0;
    pthread_mutex_unlock(lock);
    return handshakes;
}
