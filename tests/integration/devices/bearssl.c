/*
 * A device as Tasmota is one: BearSSL with small buffers, TLS 1.2, one suite, P-256 and SHA-256
 * alone, and as little MQTT as it takes. Each run connects, subscribes to one topic, takes the
 * retained message there, publishes it back on another topic, and leaves politely; the second run
 * and all later ones ask to resume the first's session, by its ID: BearSSL knows no tickets.
 *
 * Exit code 0 if all of that came true; else one line on standard error says what did not.
 */
#include <arpa/inet.h>
#include <bearssl.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    DAYS_BEFORE_1970 = 719528,
    PATIENCE_SECONDS = 20,
    PACKET_MAX = 65536,
    CERTIFICATE_MAX = 8192,
    ID_PUBLISH = 2
};

struct options {
    uint16_t port;
    const char *name;        /* of the server: sent as SNI, and verified with a CA */
    const char *ca_file;     /* or NULL: the fingerprint decides */
    const char *fingerprint; /* 40 hex digits, or "any" */
    const char *down, *up;   /* topics */
    size_t buffer;           /* what a record's content may measure */
    bool fragment_length;    /* ask for max_fragment_length */
    bool ecdsa;              /* offer ECDHE_ECDSA too */
    long clock;              /* the device's day since 1970; below 0: the machine's clock */
    int runs;
};

_Noreturn static void fail(const char *what, int number) {
    fprintf(stderr, "%s (%d)\n", what, number);
    exit(1);
}

/* The certificates ---------------------------------------------------------------------------- */

struct bytes {
    uint8_t data[CERTIFICATE_MAX];
    size_t size;
};

static void append(void *target, const void *data, size_t size) {
    struct bytes *bytes = target;

    if (size > sizeof bytes->data - bytes->size) {
        fail("the CA's certificate is too large", (int)size);
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

/* The first object of a PEM file. */
static void read_pem(const char *path, struct bytes *der) {
    static char text[CERTIFICATE_MAX];
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(text, 1, sizeof text, file) : 0, at = 0;
    br_pem_decoder_context pem;

    if (size == 0) {
        fail("cannot read the CA", errno);
    }
    fclose(file);
    br_pem_decoder_init(&pem);
    while (at < size) {
        at += br_pem_decoder_push(&pem, text + at, size - at);
        int event = br_pem_decoder_event(&pem);
        if (event == BR_PEM_BEGIN_OBJ) {
            br_pem_decoder_setdest(&pem, append, der);
        } else if (event == BR_PEM_END_OBJ) {
            return;
        } else if (event == BR_PEM_ERROR) {
            break;
        }
    }
    fail("no certificate in the CA's file", 0);
}

/* The anchor points into der, name and decoder: they must outlive it. */
static void read_anchor(const char *path, br_x509_trust_anchor *anchor) {
    static struct bytes der, name;
    static br_x509_decoder_context decoder;

    read_pem(path, &der);
    br_x509_decoder_init(&decoder, append, &name);
    br_x509_decoder_push(&decoder, der.data, der.size);
    if (br_x509_decoder_get_pkey(&decoder) == NULL) {
        fail("cannot decode the CA", br_x509_decoder_last_error(&decoder));
    }
    anchor->dn.data = name.data;
    anchor->dn.len = name.size;
    anchor->flags = BR_X509_TA_CA;
    anchor->pkey = *br_x509_decoder_get_pkey(&decoder);
}

/* Verification by fingerprint, as Tasmota does it: the first certificate's key is hashed, nothing
 * else about the chain matters, names and dates neither. */
struct pin {
    const br_x509_class *vtable;
    br_x509_decoder_context decoder;
    unsigned certificates;
    const char *expected;
};

static void pin_start_chain(const br_x509_class **context, const char *name) {
    struct pin *pin = (struct pin *)context;

    (void)name;
    pin->certificates = 0;
    br_x509_decoder_init(&pin->decoder, NULL, NULL);
}

static void pin_start_cert(const br_x509_class **context, uint32_t length) {
    (void)context;
    (void)length;
}

static void pin_append(const br_x509_class **context, const unsigned char *data, size_t size) {
    struct pin *pin = (struct pin *)context;

    if (pin->certificates == 0) {
        br_x509_decoder_push(&pin->decoder, data, size);
    }
}

static void pin_end_cert(const br_x509_class **context) {
    ((struct pin *)context)->certificates++;
}

static void hash_part(br_sha1_context *sha1, const void *data, size_t size) {
    uint8_t length[4] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};

    br_sha1_update(sha1, length, sizeof length);
    br_sha1_update(sha1, data, size);
}

/* SHA-1 over the key's type and numbers, each after its length (Tasmota's own, since 8.4). */
static void key_fingerprint(const br_x509_pkey *key, char text[41]) {
    uint8_t digest[br_sha1_SIZE];
    br_sha1_context sha1;

    br_sha1_init(&sha1);
    if (key->key_type == BR_KEYTYPE_RSA) {
        hash_part(&sha1, "ssh-rsa", 7);
        hash_part(&sha1, key->key.rsa.e, key->key.rsa.elen);
        hash_part(&sha1, key->key.rsa.n, key->key.rsa.nlen);
    } else {
        hash_part(&sha1, "ecdsa-sha2-nistp256", 19);
        hash_part(&sha1, key->key.ec.q, key->key.ec.qlen);
    }
    br_sha1_out(&sha1, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(text + 2 * i, 3, "%02X", digest[i]);
    }
}

static unsigned pin_end_chain(const br_x509_class **context) {
    struct pin *pin = (struct pin *)context;
    const br_x509_pkey *key = br_x509_decoder_get_pkey(&pin->decoder);
    char found[41];

    if (key == NULL) {
        return (unsigned)br_x509_decoder_last_error(&pin->decoder);
    }
    key_fingerprint(key, found);
    if (strcmp(pin->expected, "any") != 0 && strcmp(pin->expected, found) != 0) {
        return BR_ERR_X509_NOT_TRUSTED;
    }
    return 0;
}

static const br_x509_pkey *pin_get_pkey(const br_x509_class *const *context, unsigned *usages) {
    struct pin *pin = (struct pin *)(uintptr_t)context;

    if (usages != NULL) {
        *usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
    }
    return br_x509_decoder_get_pkey(&pin->decoder);
}

static const br_x509_class pin_class = {
    sizeof(struct pin), pin_start_chain, pin_start_cert, pin_append,
    pin_end_cert,       pin_end_chain,   pin_get_pkey,
};

/* The TLS client ------------------------------------------------------------------------------ */

struct device {
    br_ssl_client_context client;
    br_x509_minimal_context minimal;
    br_x509_trust_anchor anchor;
    struct pin pin;
    br_sslio_context stream;
    uint8_t *input, *output;
};

static void device_suites(br_ssl_client_context *client, bool ecdsa) {
    static const uint16_t suites[] = {BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                                      BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256};
    br_ssl_engine_context *engine = &client->eng;

    br_ssl_client_zero(client);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, suites, ecdsa ? 2 : 1);
    br_ssl_client_set_default_rsapub(client);
    br_ssl_engine_set_default_rsavrfy(engine);
    if (ecdsa) {
        br_ssl_engine_set_ecdsa(engine, br_ecdsa_i31_vrfy_asn1);
    }
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_prf_sha256(engine, br_tls12_sha256_prf);
    br_ssl_engine_set_default_aes_gcm(engine);
    br_ssl_engine_set_ec(engine, &br_ec_p256_m31);
}

static void device_trust(struct device *device, const struct options *options) {
    br_ssl_engine_context *engine = &device->client.eng;

    if (options->ca_file == NULL) {
        device->pin.vtable = &pin_class;
        device->pin.expected = options->fingerprint;
        br_ssl_engine_set_x509(engine, &device->pin.vtable);
        return;
    }
    read_anchor(options->ca_file, &device->anchor);
    br_x509_minimal_init(&device->minimal, &br_sha256_vtable, &device->anchor, 1);
    br_x509_minimal_set_rsa(&device->minimal, br_ssl_engine_get_rsavrfy(engine));
    if (options->ecdsa) {
        br_x509_minimal_set_ecdsa(&device->minimal, &br_ec_p256_m31, br_ecdsa_i31_vrfy_asn1);
    }
    br_x509_minimal_set_hash(&device->minimal, br_sha256_ID, &br_sha256_vtable);
    if (options->clock >= 0) {
        br_x509_minimal_set_time(&device->minimal, DAYS_BEFORE_1970 + (uint32_t)options->clock, 0);
    }
    br_ssl_engine_set_x509(engine, &device->minimal.vtable);
}

static void device_init(struct device *device, const struct options *options) {
    size_t input = options->buffer + BR_SSL_BUFSIZE_INPUT - 16384;
    size_t output = options->buffer + BR_SSL_BUFSIZE_OUTPUT - 16384;

    device->input = malloc(input);
    device->output = malloc(output);
    if (device->input == NULL || device->output == NULL) {
        fail("out of memory", errno);
    }
    device_suites(&device->client, options->ecdsa);
    device_trust(device, options);
    br_ssl_engine_set_buffers_bidi(&device->client.eng, device->input, input, device->output,
                                   output);
    /* BearSSL asks for max_fragment_length whenever this is below 14 (16,384 bytes). What it sends
     * is bounded by another member, so that this one changes the ClientHello and nothing else. */
    if (!options->fragment_length) {
        device->client.eng.log_max_frag_len = 14;
    }
}

static int dial(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("cannot connect", errno);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static int receive(void *context, unsigned char *data, size_t size) {
    ssize_t got = recv(*(int *)context, data, size, 0);

    return got <= 0 ? -1 : (int)got;
}

static int transmit(void *context, const unsigned char *data, size_t size) {
    ssize_t sent = send(*(int *)context, data, size, MSG_NOSIGNAL);

    return sent <= 0 ? -1 : (int)sent;
}

/* MQTT ---------------------------------------------------------------------------------------- */

_Noreturn static void fail_tls(struct device *device, const char *what) {
    int error = br_ssl_engine_last_error(&device->client.eng);

    if (error == BR_ERR_TOO_LARGE) {
        what = "a record larger than the buffer";
    } else if (error >= BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_RECV_FATAL_ALERT + 256) {
        fail("alert received", error - BR_ERR_RECV_FATAL_ALERT);
    }
    fail(what, error);
}

static void send_packet(struct device *device, uint8_t first, const uint8_t *body, size_t size) {
    uint8_t head[5] = {first};
    size_t at = 1, left = size;

    do {
        head[at] = (uint8_t)(left % 128);
        left /= 128;
        head[at++] |= left > 0 ? 0x80 : 0;
    } while (left > 0);
    if (br_sslio_write_all(&device->stream, head, at) != 0 ||
        br_sslio_write_all(&device->stream, body, size) != 0 ||
        br_sslio_flush(&device->stream) != 0) {
        fail_tls(device, "sending failed");
    }
}

/* Returns the packet's first byte. */
static uint8_t read_packet(struct device *device, uint8_t *body, size_t *size) {
    uint8_t first, digit;
    unsigned shift = 0;

    if (br_sslio_read_all(&device->stream, &first, 1) != 0) {
        fail_tls(device, "no answer");
    }
    *size = 0;
    do {
        if (shift > 21 || br_sslio_read_all(&device->stream, &digit, 1) != 0) {
            fail_tls(device, "a broken length");
        }
        *size |= (size_t)(digit & 0x7F) << shift;
        shift += 7;
    } while (digit & 0x80);
    if (*size > PACKET_MAX || br_sslio_read_all(&device->stream, body, *size) != 0) {
        fail_tls(device, "a message is cut short");
    }
    return first;
}

static size_t put_text(uint8_t *at, const char *text) {
    size_t size = strlen(text);

    at[0] = (uint8_t)(size >> 8);
    at[1] = (uint8_t)size;
    memcpy(at + 2, text, size);
    return size + 2;
}

static void mqtt_connect(struct device *device) {
    static const uint8_t body[] = "\x00\x04MQTT\x04\x02\x00\x1e\x00\x00"; /* clean, 30 s, no name */
    uint8_t answer[PACKET_MAX];
    size_t size;

    send_packet(device, 0x10, body, sizeof body - 1);
    if (read_packet(device, answer, &size) != 0x20 || size != 2 || answer[1] != 0) {
        fail("the broker refused CONNECT", size > 1 ? answer[1] : -1);
    }
}

/* Subscribes with QoS 0; returns the payload's place in packet, which holds a whole PUBLISH. */
static uint8_t *mqtt_take(struct device *device, const char *topic, uint8_t *packet,
                          size_t *payload_size) {
    uint8_t request[512] = {0, 1};
    size_t size = 2 + put_text(request + 2, topic);

    request[size++] = 0;
    send_packet(device, 0x82, request, size);
    for (;;) {
        uint8_t first = read_packet(device, packet, &size);
        if ((first & 0xF0) != 0x30) {
            continue;
        }
        size_t before = 2 + ((size_t)packet[0] << 8 | packet[1]);
        if ((first & 0x06) != 0 || size < before) {
            fail("a broken PUBLISH", first);
        }
        *payload_size = size - before;
        return packet + before;
    }
}

/* QoS 1: the broker acknowledges it. */
static void mqtt_publish(struct device *device, const char *topic, const uint8_t *payload,
                         size_t payload_size) {
    static uint8_t packet[PACKET_MAX];
    size_t size = put_text(packet, topic);

    packet[size++] = 0;
    packet[size++] = ID_PUBLISH;
    if (payload_size > sizeof packet - size) {
        fail("the message is too large", (int)payload_size);
    }
    memcpy(packet + size, payload, payload_size);
    send_packet(device, 0x32, packet, size + payload_size);
    if (read_packet(device, packet, &size) != 0x40 || size != 2 || packet[1] != ID_PUBLISH) {
        fail("no PUBACK", 0);
    }
}

/* The program --------------------------------------------------------------------------------- */

static void device_run(struct device *device, const struct options *options, bool again) {
    static uint8_t packet[PACKET_MAX];
    br_ssl_session_parameters before, after;
    size_t size;
    int fd = dial(options->port);

    br_ssl_engine_get_session_parameters(&device->client.eng, &before);
    if (!br_ssl_client_reset(&device->client, options->name, again)) {
        fail_tls(device, "reset failed");
    }
    br_sslio_init(&device->stream, &device->client.eng, receive, &fd, transmit, &fd);
    if (br_sslio_flush(&device->stream) != 0) {
        fail_tls(device, "handshake failed");
    }
    mqtt_connect(device);
    br_ssl_engine_get_session_parameters(&device->client.eng, &after);
    uint8_t *payload = mqtt_take(device, options->down, packet, &size);
    mqtt_publish(device, options->up, payload, size);
    send_packet(device, 0xE0, NULL, 0);
    br_sslio_close(&device->stream);
    close(fd);
    bool resumed = again && memcmp(before.master_secret, after.master_secret, 48) == 0;
    printf("%zu bytes, suite %04x, %s\n", size, after.cipher_suite, resumed ? "resumed" : "full");
}

static const struct option long_options[] = {
    {"port", required_argument, NULL, 'p'},   {"name", required_argument, NULL, 'n'},
    {"ca", required_argument, NULL, 'c'},     {"fingerprint", required_argument, NULL, 'f'},
    {"down", required_argument, NULL, 'd'},   {"up", required_argument, NULL, 'u'},
    {"buffer", required_argument, NULL, 'b'}, {"runs", required_argument, NULL, 'r'},
    {"clock", required_argument, NULL, 't'},  {"no-fragment-length", no_argument, NULL, 'N'},
    {"ecdsa", no_argument, NULL, 'e'},        {NULL, 0, NULL, 0},
};

static void parse_options(int argc, char **argv, struct options *options) {
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (letter) {
        case 'p':
            options->port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options->name = optarg;
            break;
        case 'c':
            options->ca_file = optarg;
            break;
        case 'f':
            options->fingerprint = optarg;
            break;
        case 'd':
            options->down = optarg;
            break;
        case 'u':
            options->up = optarg;
            break;
        case 'b':
            options->buffer = strtoul(optarg, NULL, 10);
            break;
        case 'r':
            options->runs = atoi(optarg);
            break;
        case 't':
            options->clock = atol(optarg);
            break;
        case 'N':
            options->fragment_length = false;
            break;
        case 'e':
            options->ecdsa = true;
            break;
        default:
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    static struct device device;
    struct options options = {.name = "localhost",
                              .fingerprint = "any",
                              .down = "down",
                              .up = "up",
                              .buffer = 1024,
                              .fragment_length = true,
                              .clock = -1,
                              .runs = 1};

    parse_options(argc, argv, &options);
    device_init(&device, &options);
    for (int run = 0; run < options.runs; run++) {
        device_run(&device, &options, run > 0);
    }
    free(device.input);
    free(device.output);
    return 0;
}
