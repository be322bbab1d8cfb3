/* The configuration: what a file may contain, what it means, and the message for each mistake. */
#include "config/config.h"
#include "config/document.h"
#include "config/values.h"
#include "run.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* What most files below need in addition to what they test. */
#define CERTIFICATE "[certificate main]\ncert = c.pem\nkey = k.pem\n"
#define LISTENER    "[listener mqtt]\n"

static char folder[64], file[96], address_text[ADDRESS_TEXT_SIZE];
static struct error err;

static void make_folder(void) {
    strcpy(folder, P_tmpdir "/postern-config-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/p.conf", folder);
    err.text[0] = '\0';
}

static void remove_folder(void) {
    unlink(file);
    rmdir(folder);
}

static void write_file(const char *text, size_t len) {
    unlink(file); /* truncating and rewriting a file may make the system sync it to disk */
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(text, 1, len, out), len);
    ck_assert_int_eq(fclose(out), 0);
}

static struct config *load_bytes(const char *text, size_t len) {
    write_file(text, len);
    return config_load(file, &err);
}

static struct config *load(const char *text) {
    struct config *config = load_bytes(text, strlen(text));
    ck_assert_msg(config != NULL, "%s", err.text);
    return config;
}

static void expect_refused(const char *text, size_t len, const char *message) {
    char expected[512];
    struct config *config = load_bytes(text, len);
    ck_assert_msg(config == NULL, "loaded; expected: %s", message);
    snprintf(expected, sizeof expected, "%s%s", file, message);
    ck_assert_msg(strncmp(err.text, expected, strlen(expected)) == 0, "got: %s\nexpected: %s",
                  err.text, expected);
    ck_assert_msg(message[0] != ':' || strstr(err.text, "; ") != NULL,
                  "does not say what to write instead: %s", err.text);
}

/* The program's standard error while `text` is loaded. */
static char *warnings_of(const char *text) {
    static char said[4096];
    FILE *capture = tmpfile();
    int saved = dup(STDERR_FILENO);
    ck_assert(capture != NULL && saved >= 0);
    dup2(fileno(capture), STDERR_FILENO);
    struct config *config = load_bytes(text, strlen(text));
    dup2(saved, STDERR_FILENO);
    close(saved);
    ck_assert_msg(config != NULL, "%s", err.text);
    config_free(config);
    ck_assert_int_eq(fseek(capture, 0, SEEK_SET), 0);
    said[fread(said, 1, sizeof said - 1, capture)] = '\0';
    fclose(capture);
    return said;
}

/* ---- what a file means ---- */

/* The system's, unless a test pretends that there is no IPv6. */
static bool ipv6_is_missing;
int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);

int __wrap_socket(int family, int type, int protocol) {
    if (ipv6_is_missing && family == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return __real_socket(family, type, protocol);
}

START_TEST(without_ipv6_the_default_is_every_ipv4_address) {
    ipv6_is_missing = true;
    struct config *config = load(LISTENER CERTIFICATE);
    ipv6_is_missing = false;
    ck_assert_uint_eq(config->listeners[0].address_count, 1);
    char text[ADDRESS_TEXT_SIZE];
    ck_assert_str_eq(address_print(&config->listeners[0].addresses[0], text), "0.0.0.0:8883");
    config_free(config);
}
END_TEST

START_TEST(the_smallest_file_gets_every_default) {
    struct config *config = load(LISTENER CERTIFICATE);
    ck_assert_str_eq(config->file, file);
    ck_assert_uint_eq(config->workers, 0);
    ck_assert_int_eq(config->log_level, LOG_LEVEL_INFO);
    ck_assert_int_eq(config->log_format, LOG_FORMAT_AUTO);
    ck_assert_int_eq(config->reload, RELOAD_SIGNAL);
    ck_assert_uint_eq(config->drain_timeout_ms, 30000);
    ck_assert_ptr_null(config->ticket_keys);
    ck_assert_uint_eq(config->listener_count, 1);

    const struct config_listener *l = &config->listeners[0];
    ck_assert_str_eq(l->name, "mqtt");
    ck_assert_uint_eq(l->line, 1);
    ck_assert_uint_eq(l->address_count, 1);
    ck_assert_str_eq(address_print(&l->addresses[0], address_text), "[::]:8883");
    ck_assert_uint_eq(l->backend_count, 1);
    ck_assert_str_eq(l->backends[0].host, "127.0.0.1");
    ck_assert_uint_eq(l->backends[0].port, 1883);
    ck_assert_uint_eq(l->certificate_count, 1);
    ck_assert_ptr_eq(l->certificates[0], &config->certificates[0]);
    ck_assert_int_eq(l->tls_min, CONFIG_TLS_1_2);
    ck_assert_int_eq(l->tls_max, CONFIG_TLS_1_3);
    ck_assert(l->ciphers == NULL && l->client_ca == NULL && l->client_crl == NULL);
    ck_assert_int_eq(l->unknown_name, UNKNOWN_NAME_SERVE);
    ck_assert_uint_eq(l->route_count, 0);
    ck_assert_int_eq(l->client_auth, CLIENT_AUTH_NONE);
    ck_assert_int_eq(l->crl_expired, CRL_EXPIRED_ACCEPT);
    ck_assert_int_eq(l->client_x509_v1, X509_V1_ACCEPT);
    ck_assert_int_eq(l->revoked_sessions, REVOKED_KEEP);
    ck_assert_int_eq(l->identity, IDENTITY_CN);
    ck_assert_int_eq(l->proxy_protocol, PROXY_PROTOCOL_OFF);
    ck_assert_uint_eq(l->accept_proxy.count, 0);
    ck_assert_uint_eq(l->allow.count, 0);
    ck_assert_uint_eq(l->deny.count, 0);
    ck_assert_uint_eq(l->max_connections_per_address, 0);
    ck_assert_uint_eq(l->new_connections_per_address.count, 0);
    ck_assert_uint_eq(l->max_dials.under_way, 512);
    ck_assert_uint_eq(l->max_dials.rate.count, 10000);
    ck_assert_uint_eq(l->max_dials.rate.period_ms, 1000);
    ck_assert_uint_eq(l->backend_source.count, 0);
    ck_assert_uint_eq(l->alpn.count, 1);
    ck_assert_str_eq(l->alpn.all[0], "mqtt");
    ck_assert_int_eq(l->alpn_required, ALPN_NOT_REQUIRED);
    ck_assert_uint_eq(l->session_log.count, 0);
    ck_assert_int_eq(l->mqtt, MQTT_OFF);
    ck_assert_int_eq(l->client_id, CLIENT_ID_FREE);
    ck_assert_uint_eq(l->max_connect_size, 65536);
    ck_assert_uint_eq(l->max_record_size, 16384);
    ck_assert_uint_eq(l->max_connections, 0);
    ck_assert_uint_eq(l->max_handshakes, 512);
    ck_assert_uint_eq(l->first_byte_timeout_ms, 5000);
    ck_assert_uint_eq(l->resumption_lifetime_ms, 86400000);
    ck_assert_uint_eq(l->handshake_timeout_ms, 10000);
    ck_assert_uint_eq(l->connect_packet_timeout_ms, 10000);
    ck_assert_uint_eq(l->connect_timeout_ms, 5000);
    ck_assert_uint_eq(l->write_timeout_ms, 60000);
    ck_assert_uint_eq(l->close_timeout_ms, 10000);
    ck_assert_uint_eq(l->idle_timeout_ms, CONFIG_OFF);
    config_free(config);
}
END_TEST

START_TEST(every_key_sets_its_field) {
    struct config *config =
        load("[postern]\nworkers = 3\nlog_level = debug\nlog_format = json\nreload = watch\n"
             "drain_timeout = 2h\nticket_keys = t.keys\n"
             "[listener a]\nlisten = 127.0.0.1:1, [::1]:2\nbackend = unix:/run/m.sock, b.lan:9\n"
             "certificates = two, one\ntls_min = 1.3\ntls_max = 1.3\nciphers = A:B\n"
             "client_auth = required\nclient_ca = ca.pem\nclient_crl = /crl.pem\n"
             "client_allow = list\ncrl_expired = refuse\nclient_x509_v1 = refuse\n"
             "revoked_sessions = end\nidentity = san-uri\npsk_file = psk\npsk_plain = yes\n"
             "proxy_protocol = v2\naccept_proxy = 10.0.0.0/8, ::1\nmqtt = identity\n"
             "allow = 10.0.0.0/8\ndeny = 10.1.0.0/16, ::1\nmax_connections_per_address = 7\n"
             "new_connections_per_address = 90/m\nsession_log = 100/s\nclient_id = prefix\n"
             "max_dials = 7\nbackend_source = 192.0.2.1, 2001:db8::1\n"
             "alpn = x-amzn-mqtt-ca, mqtt\nalpn_required = yes\nunknown_name = refuse\n"
             "max_connect_size = 1M\nmax_record_size = 512\nmax_connections = 7\n"
             "max_handshakes = 8\nfirst_byte_timeout = 100ms\nhandshake_timeout = 1s\n"
             "connect_packet_timeout = 2s\nconnect_timeout = 3s\nwrite_timeout = 1m\n"
             "close_timeout = 1d\nidle_timeout = 30d\n"
             "[certificate one]\ncert = 1.pem\nkey = 1.key\n"
             "[certificate two]\ncert = /2.pem\nchain = 2.chain\nkey = 2.key\n");
    char path[128];
    ck_assert_uint_eq(config->workers, 3);
    ck_assert_int_eq(config->log_level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(config->log_format, LOG_FORMAT_JSON);
    ck_assert_int_eq(config->reload, RELOAD_WATCH);
    ck_assert_uint_eq(config->drain_timeout_ms, 7200000);
    snprintf(path, sizeof path, "%s/t.keys", folder);
    ck_assert_str_eq(config->ticket_keys, path);

    const struct config_listener *l = &config->listeners[0];
    ck_assert_uint_eq(l->address_count, 2);
    ck_assert_str_eq(address_print(&l->addresses[1], address_text), "[::1]:2");
    ck_assert_uint_eq(l->backend_count, 2);
    ck_assert_str_eq(l->backends[0].path, "/run/m.sock");
    ck_assert_ptr_null(l->backends[0].host);
    ck_assert_str_eq(l->backends[1].text, "b.lan:9");
    ck_assert_str_eq(l->certificates[0]->name, "two");
    ck_assert_str_eq(l->certificates[0]->cert, "/2.pem");
    ck_assert_str_eq(l->certificates[1]->name, "one");
    ck_assert_ptr_null(l->certificates[1]->chain);
    ck_assert_int_eq(l->tls_min, CONFIG_TLS_1_3);
    ck_assert_str_eq(l->ciphers, "A:B");
    ck_assert_int_eq(l->client_auth, CLIENT_AUTH_REQUIRED);
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    ck_assert_str_eq(l->client_ca, path);
    ck_assert_str_eq(l->client_crl, "/crl.pem");
    snprintf(path, sizeof path, "%s/list", folder);
    ck_assert_str_eq(l->client_allow, path);
    snprintf(path, sizeof path, "%s/psk", folder);
    ck_assert_str_eq(l->psk_file, path);
    ck_assert_int_eq(l->psk_plain, PSK_PLAIN_ACCEPT);
    ck_assert_int_eq(l->crl_expired, CRL_EXPIRED_REFUSE);
    ck_assert_int_eq(l->client_x509_v1, X509_V1_REFUSE);
    ck_assert_int_eq(l->revoked_sessions, REVOKED_END);
    ck_assert_int_eq(l->identity, IDENTITY_SAN_URI);
    ck_assert_int_eq(l->proxy_protocol, PROXY_PROTOCOL_V2);
    ck_assert_uint_eq(l->accept_proxy.count, 2);
    ck_assert_uint_eq(l->allow.count, 1);
    ck_assert_uint_eq(l->allow.all[0].prefix, 8);
    ck_assert_uint_eq(l->deny.count, 2);
    ck_assert_uint_eq(l->deny.all[1].family, ADDRESS_IPV6);
    ck_assert_uint_eq(l->max_connections_per_address, 7);
    ck_assert_uint_eq(l->new_connections_per_address.count, 90);
    ck_assert_uint_eq(l->new_connections_per_address.period_ms, 60000);
    ck_assert_uint_eq(l->max_dials.under_way, 7);
    ck_assert_uint_eq(l->max_dials.rate.count, 0); /* each figure stands alone */
    ck_assert_uint_eq(l->backend_source.count, 2);
    ck_assert_uint_eq(l->alpn.count, 2);
    ck_assert_str_eq(l->alpn.all[0], "x-amzn-mqtt-ca");
    ck_assert_int_eq(l->alpn_required, ALPN_REQUIRED);
    ck_assert_int_eq(l->unknown_name, UNKNOWN_NAME_REFUSE);
    ck_assert_uint_eq(l->backend_source.all[1].family, ADDRESS_IPV6);
    ck_assert_uint_eq(l->session_log.count, 100);
    ck_assert_uint_eq(l->session_log.period_ms, 1000);
    ck_assert_int_eq(l->mqtt, MQTT_IDENTITY);
    ck_assert_int_eq(l->client_id, CLIENT_ID_PREFIX);
    ck_assert_uint_eq(l->max_connect_size, 1048576);
    ck_assert_uint_eq(l->max_record_size, 512);
    ck_assert_uint_eq(l->max_connections, 7);
    ck_assert_uint_eq(l->max_handshakes, 8);
    ck_assert_uint_eq(l->first_byte_timeout_ms, 100);
    ck_assert_uint_eq(l->handshake_timeout_ms, 1000);
    ck_assert_uint_eq(l->connect_packet_timeout_ms, 2000);
    ck_assert_uint_eq(l->connect_timeout_ms, 3000);
    ck_assert_uint_eq(l->write_timeout_ms, 60000);
    ck_assert_uint_eq(l->close_timeout_ms, 86400000);
    ck_assert_uint_eq(l->idle_timeout_ms, 30 * 86400000ull);
    config_free(config);
}
END_TEST

/* Each choice of a key, written out, becomes the value that its row names. */
START_TEST(every_keyword_of_every_key_is_accepted) {
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        for (const struct config_word *w = key->words; w != NULL && w->text != NULL; w++) {
            char text[512];
            bool auth = strcmp(key->name, "client_auth") == 0 && strcmp(w->text, "none") != 0;
            bool id = strcmp(key->name, "client_id") == 0 && strcmp(w->text, "free") != 0;
            bool identity = id || strcmp(w->text, "identity") == 0;
            bool psk = key->kind == KIND_CERTIFICATES || strcmp(key->name, "psk_plain") == 0;
            snprintf(text, sizeof text, "%s%s%s%s%s = %s\n%s%s" CERTIFICATE,
                     key->section == SECTION_POSTERN ? "[postern]\n" : LISTENER,
                     !psk                             ? ""
                     : key->kind == KIND_CERTIFICATES ? "psk_file = p\n"
                                                      : "psk_file = p\ncertificates = main\n",
                     identity ? "client_auth = required\n" : "", id ? "mqtt = identity\n" : "",
                     key->name, w->text, auth || identity ? "client_ca = ca\n" : "",
                     key->section == SECTION_POSTERN ? LISTENER : "");
            struct config *config = load(text);
            unsigned value;
            const char *base = key->section == SECTION_POSTERN ? (const char *)config
                                                               : (const char *)config->listeners;
            memcpy(&value, base + key->offset, sizeof value);
            ck_assert_msg(key->kind != KIND_WORD || value == w->value, "%s", text);
            config_free(config);
        }
    }
}
END_TEST

START_TEST(a_value_is_printed_as_the_file_has_it) {
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const struct config_word *w = key->kind == KIND_WORD ? key->words : NULL;
        for (; w != NULL && w->text != NULL; w++) {
            ck_assert_str_eq(config_word(key->name, w->value), w->text);
        }
    }
    ck_assert_str_eq(config_word("proxy_protocol", PROXY_PROTOCOL_V2), "v2");
}
END_TEST

START_TEST(identities_are_names_where_the_broker_gets_them) {
    static const bool names[3][3] = {
        [MQTT_OFF] = {[PROXY_PROTOCOL_V2] = true},
        [MQTT_CHECK] = {[PROXY_PROTOCOL_V2] = true},
        [MQTT_IDENTITY] = {true, true, true},
    };
    for (unsigned i = 0; i < 9; i++) {
        const struct config_listener l = {.mqtt = (enum config_mqtt)(i / 3),
                                          .proxy_protocol = (enum config_proxy_protocol)(i % 3)};
        ck_assert_int_eq(config_gives_names(&l), names[i / 3][i % 3]);
    }
}
END_TEST

START_TEST(drain_timeout_off_and_0_mean_at_once) {
    struct config *config = load("[postern]\ndrain_timeout = 0\n" LISTENER CERTIFICATE);
    ck_assert_uint_eq(config->drain_timeout_ms, CONFIG_OFF);
    config_free(config);
    config = load("[postern]\ndrain_timeout = off\n" LISTENER CERTIFICATE);
    ck_assert_uint_eq(config->drain_timeout_ms, CONFIG_OFF);
    config_free(config);
}
END_TEST

START_TEST(an_empty_value_means_none_where_a_key_is_optional) {
    struct config *config =
        load("[postern]\nticket_keys =\n" LISTENER "ciphers = ; ours\nclient_ca=\nclient_crl =  \n"
             "[certificate main]\ncert = c\nchain =\nkey = k\n");
    ck_assert_ptr_null(config->ticket_keys);
    ck_assert_ptr_null(config->listeners[0].ciphers);
    ck_assert_ptr_null(config->listeners[0].client_ca);
    ck_assert_ptr_null(config->certificates[0].chain);
    config_free(config);
}
END_TEST

START_TEST(relative_paths_start_at_the_folder_of_the_file) {
    char path[128];
    struct config *config = load(LISTENER "backend = unix:m.sock\n" CERTIFICATE);
    snprintf(path, sizeof path, "%s/c.pem", folder);
    ck_assert_str_eq(config->certificates[0].cert, path);
    snprintf(path, sizeof path, "%s/m.sock", folder);
    ck_assert_str_eq(config->listeners[0].backends[0].path, path);
    config_free(config);
    ck_assert_int_eq(chdir(folder), 0);
    config = config_load("p.conf", &err);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_ptr_nonnull(config);
    ck_assert_str_eq(config->certificates[0].cert, "c.pem");
    config_free(config);
}
END_TEST

START_TEST(paths_may_contain_any_byte_except_line_ends) {
    struct config *config =
        load(LISTENER "[certificate main]\ncert = /a b/\xff;\xe9=#[x].pem ; here\nkey = /k\n");
    ck_assert_str_eq(config->certificates[0].cert, "/a b/\xff;\xe9=#[x].pem");
    config_free(config);
}
END_TEST

static const char *const odd_but_good[] = {
    "\xef\xbb\xbf[listener mqtt]\n" CERTIFICATE,
    "[listener mqtt]\r\n[certificate main]\r\ncert = c\r\nkey = k\r\n",
    "[listener mqtt]\n[certificate main]\ncert = c\nkey = k", /* no newline at the end */
    "# note\n; note\n   ; note\n\t# note\n \t \n[ listener   mqtt ] ; note\n" CERTIFICATE,
    "[certificate main]\ncert=c\nkey\t=\tk\n[listener mqtt]\n[postern]\n",
    LISTENER "listen = 0.0.0.0:0, 0.0.0.0:0, [::]:0\n" CERTIFICATE,
    LISTENER "listen = 127.0.0.1:1, 127.0.0.2:1, [::1]:1, 127.0.0.1:2\n" CERTIFICATE,
    LISTENER "listen = 0.0.0.0:1, [::1]:1\n" CERTIFICATE,
    "[listener a.B-1_]\n" CERTIFICATE,
};

START_TEST(unusual_but_valid_files_load) {
    config_free(load(odd_but_good[_i]));
}
END_TEST

START_TEST(a_comment_of_any_length_is_fine) {
    static char text[40000];
    char *p = text;
    p += sprintf(p, "; ");
    memset(p, 'x', 20000);
    p += 20000;
    p += sprintf(p, "\n[listener mqtt]\nlisten = :1 ; ");
    memset(p, '=', 10000);
    p += 10000;
    sprintf(p, "\n" CERTIFICATE);
    struct config *config = load(text);
    ck_assert_str_eq(address_print(&config->listeners[0].addresses[0], address_text), "[::]:1");
    config_free(config);
}
END_TEST

/* inih by itself cuts lines at about 200 bytes; the limit here is 8192. Values of every length up
 * to it must load complete, with blanks and comment characters at any position. */
START_TEST(a_long_value_is_not_cut) {
    static char value[9000], text[20000];
    static const char pattern[] = "ab;c #d  e\t[f]=g:,;;## ";
    for (size_t len = 1; len < 8100; len += len < 900 ? 1 : 271) {
        for (size_t i = 0; i < len; i++) {
            value[i] = pattern[i % (sizeof pattern - 1)];
            bool comment = value[i] == ';' && i > 0 && strchr(" \t", value[i - 1]) != NULL;
            value[i] = comment ? 'x' : value[i];
        }
        value[len - 1] = 'z';
        value[len] = '\0';
        sprintf(text, "[listener mqtt]\n[certificate main]\ncert = /%s\nkey = k ; %s\n", value,
                value);
        struct config *config = load(text);
        ck_assert_str_eq(config->certificates[0].cert + 1, value);
        config_free(config);
    }
}
END_TEST

START_TEST(a_long_list_is_not_cut) {
    char text[8000];
    int len = sprintf(text, LISTENER "backend = ");
    for (int i = 1; i <= 200; i++) {
        len += sprintf(text + len, "%sbroker-%d.example.org:%d", i > 1 ? ", " : "", i, i);
    }
    sprintf(text + len, "\n" CERTIFICATE);
    struct config *config = load(text);
    ck_assert_uint_eq(config->listeners[0].backend_count, 200);
    for (unsigned i = 1; i <= 200; i++) {
        ck_assert_uint_eq(config->listeners[0].backends[i - 1].port, i);
    }
    config_free(config);
}
END_TEST

START_TEST(a_second_load_is_independent_of_the_first) {
    struct config *first = load(LISTENER "listen = :1\n" CERTIFICATE);
    expect_refused("[listener x]\n", 13, ":1: ");
    struct config *second = load("[listener other]\nlisten = :2\n" CERTIFICATE);
    ck_assert_str_eq(address_print(&first->listeners[0].addresses[0], address_text), "[::]:1");
    config_free(first);
    ck_assert_str_eq(second->listeners[0].name, "other");
    ck_assert_str_eq(second->listeners[0].certificates[0]->name, "main");
    config_free(second);
}
END_TEST

static void count_file(const char *name, void *arg) {
    char *all = arg;
    sprintf(all + strlen(all), "%s ", strrchr(name, '/') + 1);
}

START_TEST(each_file_named_is_visited) {
    char all[256] = "";
    struct config *config = load(
        "[postern]\nticket_keys = t\n" LISTENER "client_auth = optional\nclient_ca = ca\n"
        "client_crl = crl\nclient_allow = list\npsk_file = psk\ncertificates = main\n" CERTIFICATE
        "[certificate spare]\ncert = 2c\nchain = 2h\nkey = 2k\n");
    config_each_file(config, count_file, all);
    ck_assert_str_eq(all, "t c.pem k.pem 2c 2h 2k ca crl list psk ");
    config_free(config);
    config_free(NULL);
}
END_TEST

START_TEST(keys_need_no_certificates) {
    static const char *const alone[] = {
        LISTENER "psk_file = psk\n",
        LISTENER "psk_file = psk\ncertificates = none\nclient_auth = required\n" CERTIFICATE,
        LISTENER "psk_file = psk\ncertificates = none\nmqtt = identity\n" CERTIFICATE,
    };
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        struct config *config = load(alone[i]);
        ck_assert_uint_eq(config->listeners[0].certificate_count, 0);
        config_free(config);
    }
    struct config *beside = load(LISTENER "psk_file = psk\ncertificates = main\n" CERTIFICATE);
    ck_assert_uint_eq(beside->listeners[0].certificate_count, 1);
    config_free(beside);
}
END_TEST

/* The installed file loads as it is, and with each `#key = value` line in it enabled. */
START_TEST(the_installed_example_loads) {
    struct config *config = config_load(EXAMPLE, &err);
    ck_assert_msg(config != NULL, "%s", err.text);
    ck_assert_uint_eq(config->listener_count, 1);
    ck_assert_ptr_nonnull(strstr(config->certificates[0].cert, "/config/certs/"));
    config_free(config);

    char text[8192] = "", line[256];
    FILE *in = fopen(EXAMPLE, "r");
    ck_assert_ptr_nonnull(in);
    int switched_on = 0;
    while (fgets(line, sizeof line, in) != NULL) {
        bool off = line[0] == '#' && ((line[1] >= 'a' && line[1] <= 'z') || line[1] == '[');
        switched_on += off;
        strcat(text, line + off);
    }
    fclose(in);
    config = load(text);
    ck_assert_int_ge(switched_on, 5);
    ck_assert_uint_eq(config->listeners[0].route_count, 2);
    ck_assert_int_eq(config->reload, RELOAD_WATCH);
    ck_assert_uint_eq(config->listeners[0].max_record_size, 1024);
    ck_assert_int_eq(config->listeners[0].client_auth, CLIENT_AUTH_REQUIRED);
    config_free(config);
}
END_TEST

/* ---- addresses ---- */

/* test_address.c tests what such an address may be. */
START_TEST(addresses_print_in_canonical_form) {
    struct address address;
    ck_assert_msg(config_parse_address(":8883", &address, &err) == 0, "%s", err.text);
    ck_assert_str_eq(address_print(&address, address_text), "[::]:8883");
}
END_TEST

/* ---- what is refused, and with what message ---- */

#define A54 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *text, *message;
} refused[] = {
    /* lines */
    {LISTENER "listen\n", ":2: a line without =; write key = value"},
    {LISTENER "listen ; = :1\n", ":2: a line without =; "},
    {LISTENER "listen : 8883\n", ":2: found : instead of =; write key = value"},
    {LISTENER "= 3\n", ":2: a line without a key before =; "},
    {LISTENER " listen = :1\n", ":2: an indented line; "},
    {LISTENER "backend = a:1,\n    b:2\n", ":3: an indented line; "},
    {" [listener mqtt]\n", ":1: an indented line; "},
    {LISTENER "listen = :1\rbackend = a:1\n", ":2: a carriage return inside the line; "},
    {"[listener mqtt\n", ":1: a section without its ]; "},
    {"[listener mqtt] listen = :1\n", ":1: text after the ] of a section; "},
    {"workers = 1\n", ":1: key workers stands before any section; "},

    /* sections */
    {"[]\n", ":1: unknown section []; there are [postern], [listener NAME], [route"},
    {"\n\n[listner mqtt]\n", ":3: unknown section [listner mqtt]; did you mean [listener mqtt]?"},
    {"[Postern]\n", ":1: unknown section [Postern]; did you mean [postern]?"},
    {"[frontend]\n", ":1: unknown section [frontend]; there are [postern], "},
    {"[postern main]\n", ":1: section [postern main]: [postern] takes no name; write [postern]"},
    {"[listener]\n", ":1: section [listener] has no name; write it as in [listener mqtt]"},
    {"[certificate ]\n",
     ":1: section [certificate] has no name; write it as in [certificate main]"},
    {"[listener a b]\n", ":1: the name a b has a character that names may not have; "},
    {"[listener a,b]\n", ":1: the name a,b has a character that names may not have; "},
    {LISTENER "\n" LISTENER,
     ":3: section [listener mqtt] is defined twice, first in line 1; give one another name"},
    {"[postern]\n[postern]\n",
     ":2: section [postern] is defined twice, first in line 1; join them"},

    /* keys */
    {LISTENER "lisen = :1\n", ":2: unknown key lisen in [listener mqtt]; did you mean listen?"},
    {"[postern]\nworker = 1\n", ":2: unknown key worker in [postern]; did you mean workers?"},
    {LISTENER "password_file = /etc/mosquitto/passwd\n",
     ":2: unknown key password_file in [listener mqtt]; that is the broker's setting, "},
    {"[postern]\ncolour = off\n", ":2: unknown key colour in [postern]; postern.conf(5) lists"},
    {"[postern]\nadmin = :9883\n",
     ":2: admin = :9883: no host before the port; write 127.0.0.1:9883 for this machine"},
    {"[postern]\nadmin = 9883\n",
     ":2: admin = 9883: no host before the port; write 127.0.0.1:9883 for this machine"},
    {"[postern]\nadmin = unix:\n",
     ":2: admin = unix:: unix: without a path; write unix:/run/postern/admin.sock"},
    {"[postern]\nadmin = localhost:9883\n", ":2: admin = localhost:9883: "},
    {LISTENER "max_sessions_per_user = 0\n",
     ":2: unknown key max_sessions_per_user in [listener mqtt]; "},
    {LISTENER "cert = a\n", ":2: key cert does not belong in [listener mqtt]; it belongs in a "
                            "[certificate NAME] section"},
    {LISTENER "workers = 2\n",
     ":2: key workers does not belong in [listener mqtt]; it belongs in [postern]"},
    {LISTENER "listen = :1\nlisten = :2\n",
     ":3: key listen is given twice, first in line 2; remove one"},
    {LISTENER "Listen = :1\n", ":2: unknown key Listen in [listener mqtt]; did you mean listen?"},

    /* values */
    {LISTENER "listen =\n" CERTIFICATE,
     ":2: listen has no value; leave the line out for the default, [::]:8883"},
    {LISTENER "certificates =\n" CERTIFICATE, ":2: certificates has no value; write one"},
    {LISTENER "mqtt = ; off\n" CERTIFICATE, ":2: mqtt has no value; "},
    {LISTENER "[certificate a]\ncert =\nkey = k\n", ":3: cert has no value; "},
    {LISTENER "[certificate a]\ncert = \"c.pem\"\nkey = k\n",
     ":3: cert has a value in quotes; leave them out"},
    {LISTENER "mqtt = on\n" CERTIFICATE,
     ":2: mqtt = on: not a valid value; write off, check or identity"},
    {LISTENER "tls_min = 1.1\n" CERTIFICATE,
     ":2: tls_min = 1.1: not a valid value; write 1.2 or 1.3"},
    {LISTENER "mqtt = off # no\n" CERTIFICATE, ":2: mqtt = off # no: not a valid value; write off, "
                                               "check or identity (a comment after a value "
                                               "begins with ;)"},
    {"[postern]\nworkers = 0\n" LISTENER CERTIFICATE,
     ":2: workers = 0: out of range; write 1 to 256, or auto"},
    {"[postern]\nworkers = 257\n" LISTENER CERTIFICATE,
     ":2: workers = 257: out of range; write 1 to"},
    {"[postern]\nworkers = two\n" LISTENER CERTIFICATE,
     ":2: workers = two: not a whole number; write digits alone, or auto"},
    {"[postern]\nworkers = -1\n" LISTENER CERTIFICATE, ":2: workers = -1: not a whole number; "},
    {"[postern]\nworkers = 1 2\n" LISTENER CERTIFICATE, ":2: workers = 1 2: not a whole number; "},
    {"[postern]\ndrain_timeout = 30\n" LISTENER CERTIFICATE,
     ":2: drain_timeout = 30: not a duration; write a whole number with ms, s, m, h or d, as in "
     "10s, "
     "or off or 0"},
    {"[postern]\ndrain_timeout = 2d\n" LISTENER CERTIFICATE,
     ":2: drain_timeout = 2d: out of range; write 100ms to 1d, or off or 0"},
    {LISTENER "handshake_timeout = 1.5s\n" CERTIFICATE,
     ":2: handshake_timeout = 1.5s: not a duration; "},
    {LISTENER "handshake_timeout = 99ms\n" CERTIFICATE,
     ":2: handshake_timeout = 99ms: out of range; write 100ms to 1d"},
    {LISTENER "handshake_timeout = 25h\n" CERTIFICATE,
     ":2: handshake_timeout = 25h: out of range; write 100ms to 1d"},
    {LISTENER "handshake_timeout = off\n" CERTIFICATE,
     ":2: handshake_timeout = off: not a duration; "},
    {LISTENER "first_byte_timeout = off\n" CERTIFICATE, ":2: first_byte_timeout = off: not a dur"},
    {LISTENER "connect_timeout = off\n" CERTIFICATE, ":2: connect_timeout = off: not a duration; "},
    {LISTENER "write_timeout = off\n" CERTIFICATE, ":2: write_timeout = off: not a duration; "},
    {LISTENER "close_timeout = off\n" CERTIFICATE, ":2: close_timeout = off: not a duration; "},
    {LISTENER "idle_timeout = 31d\n" CERTIFICATE,
     ":2: idle_timeout = 31d: out of range; write 100ms to 30d, or off"},
    {LISTENER "idle_timeout = 99999999999999999999d\n" CERTIFICATE,
     ":2: idle_timeout = 99999999999999999999d: not a duration; "},
    {LISTENER "max_record_size = 511\n" CERTIFICATE,
     ":2: max_record_size = 511: out of range; write 512 to 16k"},
    {LISTENER "max_record_size = 17k\n" CERTIFICATE, ":2: max_record_size = 17k: out of range; "},
    {LISTENER "max_record_size = 1kB\n" CERTIFICATE,
     ":2: max_record_size = 1kB: not a size; write bytes, or a number with k or M, as in 16k"},
    {LISTENER "max_connect_size = 2M\n" CERTIFICATE,
     ":2: max_connect_size = 2M: out of range; write 128 to 1M"},
    {LISTENER "max_connect_size = 127\n" CERTIFICATE, ":2: max_connect_size = 127: out of range"},
    {LISTENER "max_handshakes = 0\n" CERTIFICATE,
     ":2: max_handshakes = 0: out of range; write 1 to 100000"},
    {LISTENER "max_handshakes = many\n" CERTIFICATE,
     ":2: max_handshakes = many: not a whole number; write digits alone"},
    {LISTENER "max_connections = unlimited\n" CERTIFICATE,
     ":2: max_connections = unlimited: not a whole number; write digits alone; 0 is no limit"},

    /* addresses */
    {LISTENER "listen = 8883\n" CERTIFICATE,
     ":2: listen = 8883: a port without an address; write [::]:8883 for all addresses"},
    {LISTENER "listen = localhost:8883\n" CERTIFICATE,
     ":2: listen = localhost:8883: localhost is not a numeric address (names are not looked up "},
    {LISTENER "listen = ::1:8883\n" CERTIFICATE,
     ":2: listen = ::1:8883: an IPv6 address without brackets; write [::1]:8883"},
    {LISTENER "listen = 127.0.0.1\n" CERTIFICATE,
     ":2: listen = 127.0.0.1: not an address with a port; "},
    {LISTENER "listen = [::]\n" CERTIFICATE, ":2: listen = [::]: not an address with a port; "},
    {LISTENER "listen = 127.1:8883\n" CERTIFICATE,
     ":2: listen = 127.1:8883: 127.1 is not a numeric address"},
    {LISTENER "listen = [127.0.0.1]:1\n" CERTIFICATE, ":2: listen = [127.0.0.1]:1: 127.0.0.1 is"},
    {LISTENER "listen = []:1\n" CERTIFICATE, ":2: listen = []:1: the address is missing"},
    {LISTENER "listen = [fe80::1%none0]:1\n" CERTIFICATE,
     ":2: listen = [fe80::1%none0]:1: there is no interface none0; "},
    {LISTENER "listen = :65536\n" CERTIFICATE,
     ":2: listen = :65536: 65536 is not a port; write 0 to 65535"},
    {LISTENER "listen = :\n" CERTIFICATE, ":2: listen = :: the port is missing; "},
    {LISTENER "listen = :1;1\n" CERTIFICATE, ":2: listen = :1;1: 1;1 is not a port; write "},
    {LISTENER "listen = :1,\n" CERTIFICATE,
     ":2: listen = :1,: an empty item in the list; write one comma between two items"},
    {LISTENER "listen = :1, :1\n" CERTIFICATE, ":2: [::]:1 is listened on twice (line 2); "},
    {"[listener a]\nlisten = 127.0.0.1:1\n[listener b]\nlisten = "
     "[::ffff:127.0.0.1]:1\n" CERTIFICATE,
     ":4: 127.0.0.1:1 is listened on twice (line 2); "},
    {"[listener a]\nlisten = [::]:1\n[listener b]\nlisten = 0.0.0.0:1\n" CERTIFICATE,
     ":4: 0.0.0.0:1 is included in [::]:1 (line 2); "},
    {LISTENER "listen = [2001:db8::1]:1, [::]:1\n" CERTIFICATE,
     ":2: [::]:1 includes [2001:db8::1]:1 (line 2); "},
    {LISTENER "listen = 127.0.0.1:1, 0.0.0.0:1\n" CERTIFICATE,
     ":2: 0.0.0.0:1 includes 127.0.0.1:1 (line 2); "},

    /* backends */
    {LISTENER "backend = 1883\n" CERTIFICATE,
     ":2: backend = 1883: a port without a host; write 127.0.0.1:1883 for this machine"},
    {LISTENER "backend = mosquitto\n" CERTIFICATE, ":2: backend = mosquitto: not HOST:PORT; "},
    {LISTENER "backend = mqtt://m:1883\n" CERTIFICATE,
     ":2: backend = mqtt://m:1883: not HOST:PORT; leave out the scheme"},
    {LISTENER "backend = ::1:1883\n" CERTIFICATE,
     ":2: backend = ::1:1883: ::1 is not a host name; write an IPv6 address in brackets"},
    {LISTENER "backend = [::g]:1883\n" CERTIFICATE,
     ":2: backend = [::g]:1883: ::g is not a host name or address; "},
    {LISTENER "backend = a b:1883\n" CERTIFICATE,
     ":2: backend = a b:1883: a b is not a host name or address; "},
    {LISTENER "backend = :1883\n" CERTIFICATE, ":2: backend = :1883: the host is missing; "},
    {LISTENER "backend = m:0\n" CERTIFICATE,
     ":2: backend = m:0: 0 is not a port; write 1 to 65535"},
    {LISTENER "backend = m:mqtt\n" CERTIFICATE, ":2: backend = m:mqtt: mqtt is not a port; write "},
    {LISTENER "backend = unix:\n" CERTIFICATE, ":2: backend = unix:: unix: without a path; "},
    {LISTENER "backend = unix:/" A54 A54 "\n" CERTIFICATE, ":2: backend = unix:/a"},

    /* rates */
    {LISTENER "new_connections_per_address = 20\n" CERTIFICATE,
     ":2: new_connections_per_address = 20: not a rate; write 1 to 100000 and /s, /m or /h, as in "
     "20/s, or off"},
    {LISTENER "new_connections_per_address = 0/s\n" CERTIFICATE,
     ":2: new_connections_per_address = 0/s: not a rate; "},
    {LISTENER "new_connections_per_address = 100001/m\n" CERTIFICATE,
     ":2: new_connections_per_address = 100001/m: not a rate; "},
    {LISTENER "new_connections_per_address = 1/d\n" CERTIFICATE,
     ":2: new_connections_per_address = 1/d: not a rate; "},
    {LISTENER "new_connections_per_address = -1/s\n" CERTIFICATE,
     ":2: new_connections_per_address = -1/s: not a rate; "},
    {LISTENER "session_log = off\n" CERTIFICATE,
     ":2: session_log = off: not a rate; write 1 to 100000 and /s, /m or /h, as in 20/s, or all"},

    /* dials and sources */
    {LISTENER "max_dials = 0\n" CERTIFICATE,
     ":2: max_dials = 0: 0 is not a number of dials; write 1 to 100000, a rate such as 10000/s, "
     "both, or off"},
    {LISTENER "max_dials = 100001, 1/s\n" CERTIFICATE,
     ":2: max_dials = 100001, 1/s: 100001 is not a number of dials; "},
    {LISTENER "max_dials = many\n" CERTIFICATE, ":2: max_dials = many: many is not a number of "},
    {LISTENER "max_dials = 1/d\n" CERTIFICATE, ":2: max_dials = 1/d: not a rate; "},
    {LISTENER "max_dials = 5, 6\n" CERTIFICATE,
     ":2: max_dials = 5, 6: a second number of dials; write how many may be under way and how many "
     "a second, as in 512, 10000/s"},
    {LISTENER "max_dials = 5/s, 6, 7/s\n" CERTIFICATE,
     ":2: max_dials = 5/s, 6, 7/s: a second rate; "},
    {LISTENER "max_dials = 5,\n" CERTIFICATE, ":2: max_dials = 5,: an empty item"},
    {LISTENER "backend_source = 192.0.2.1:0\n" CERTIFICATE,
     ":2: backend_source = 192.0.2.1:0: 192.0.2.1:0 has a port; leave it out, as in 192.0.2.7"},
    {LISTENER "backend_source = [::1]:1883\n" CERTIFICATE,
     ":2: backend_source = [::1]:1883: [::1]:1883 has a port; "},
    {LISTENER "backend_source = eth0\n" CERTIFICATE,
     ":2: backend_source = eth0: eth0 is not a numeric address; write addresses of this machine "
     "without a port, as in 192.0.2.7, 192.0.2.8, or auto"},

    /* protocols */
    {LISTENER "alpn =\n" CERTIFICATE, ":2: alpn has no value; leave the line out for the default"},
    {LISTENER "alpn = mqtt,\n" CERTIFICATE, ":2: alpn = mqtt,: an empty item in the list; "},
    {LISTENER "alpn = caf\xc3\xa9\n" CERTIFICATE,
     ":2: alpn = caf\xc3\xa9: a protocol's name has printable characters of ASCII only"},
    {LISTENER "alpn = " A54 A54 A54 A54 A54 "\n" CERTIFICATE, ":2: alpn = aaa"},
    {LISTENER "alpn_required = true\n" CERTIFICATE,
     ":2: alpn_required = true: not a valid value; write no or yes"},

    /* networks */
    {LISTENER "deny = all\n" CERTIFICATE, ":2: deny = all: all is not a network; "},
    {LISTENER "allow = 10.0.0.0/8,\n" CERTIFICATE, ":2: allow = 10.0.0.0/8,: an empty item"},
    {LISTENER "accept_proxy = on\n" CERTIFICATE, ":2: accept_proxy = on: on is not a network; "},
    {LISTENER "accept_proxy = 10.0.0.0/33\n" CERTIFICATE,
     ":2: accept_proxy = 10.0.0.0/33: 10.0.0.0/33 has a prefix that is out of range; write 0 to "
     "32"},
    {LISTENER "accept_proxy = ::/\n" CERTIFICATE,
     ":2: accept_proxy = ::/: ::/ has a prefix that is out of range; write 0 to 128"},
    {LISTENER "accept_proxy = 10.0.0.1/8\n" CERTIFICATE,
     ":2: accept_proxy = 10.0.0.1/8: 10.0.0.1/8 has bits set after its prefix; "},

    /* names, and keys that need each other */
    {"", ": there is no [listener NAME] section, so that nothing would be served; "},
    {CERTIFICATE, ": there is no [listener NAME] section"},
    {LISTENER, ":1: [listener mqtt] has no certificate to present; define one in a section "},
    {LISTENER "[certificate a]\ncert = c\nkey = k\n[certificate b]\ncert = c\nkey = k\n",
     ":1: [listener mqtt] names no certificates, and several are defined; "},
    {LISTENER "certificates = main, mian\n" CERTIFICATE,
     ":2: certificates = main, mian: no section [certificate mian] is defined; "},
    {LISTENER "certificates = main, main\n" CERTIFICATE,
     ":2: certificates names main twice; once is enough"},
    {LISTENER "[certificate a]\nkey = k\n", ":2: [certificate a] has no cert; write cert = FILE"},
    {LISTENER "[certificate a]\ncert = c\n", ":2: [certificate a] has no key; write key = FILE"},
    {"[listener a]\nlisten = :1\n[listener b]\n" CERTIFICATE,
     ":3: [listener b] has no listen; where there are several listeners, each names its"},
    {LISTENER "tls_max = 1.2\ntls_min = 1.3\n" CERTIFICATE,
     ":3: tls_min is above tls_max in [listener mqtt]"},
    {LISTENER "client_auth = required\n" CERTIFICATE, ":2: client_auth without client_ca; "},
    {LISTENER "mqtt = check\ndial = handshake\n" CERTIFICATE,
     ":3: dial = handshake with mqtt = check, "},
    {LISTENER "mqtt = check\nalpn = mqtt, http/1.1\n" CERTIFICATE,
     ":3: alpn has http/1.1 with mqtt = check, which such a client does not speak; remove it, or "},
    {LISTENER "alpn = mqtt, h2, mqtt\n" CERTIFICATE, ":2: alpn names mqtt twice; once is enough"},
    {LISTENER "client_auth = optional\nclient_crl = x\n" CERTIFICATE,
     ":2: client_auth without client_ca; "},
    {LISTENER "client_ca = ca\n" CERTIFICATE,
     ":2: client_ca without client_auth, so that no client"},
    {LISTENER "client_allow = list\n" CERTIFICATE,
     ":2: client_allow without client_auth, so that no client"},
    {LISTENER "client_crl = crl\n" CERTIFICATE, ":2: client_crl without client_ca; "},
    {LISTENER "client_auth = required\nclient_allow = list\nclient_crl = crl\n" CERTIFICATE,
     ":4: client_crl without client_ca; "},
    {LISTENER "mqtt = identity\n" CERTIFICATE,
     ":2: mqtt = identity without client_auth = required; "},
    {LISTENER "mqtt = identity\nclient_auth = optional\nclient_ca = ca\n" CERTIFICATE,
     ":2: mqtt = identity without client_auth = required; "},
    {LISTENER "mqtt = check\nclient_id = identity\n" CERTIFICATE,
     ":3: client_id without mqtt = identity, so that no client ID would be checked; "},
    {LISTENER "client_id = prefix\n" CERTIFICATE, ":2: client_id without mqtt = identity, "},
    {LISTENER "psk_file = psk\n" CERTIFICATE,
     ":1: [listener mqtt] has a psk_file and no certificates; write certificates = NAME to take "},
    {LISTENER "psk_file =\n", ":1: [listener mqtt] has no certificate to present; "},
    {LISTENER "certificates = none\n" CERTIFICATE,
     ":2: certificates = none without psk_file, so that no client could connect; "},
    {LISTENER "certificates = none\npsk_file = psk\nclient_auth = required\nclient_ca = ca\n",
     ":5: client_ca without certificates, so that no client would be asked for one; "},
    {LISTENER "certificates = none\npsk_file = psk\nclient_crl = list\n",
     ":4: client_crl without certificates, so that no client would be asked for one; "},
    {LISTENER "certificates = none\npsk_file = psk\nclient_allow = list\n",
     ":4: client_allow without certificates, so that no client would be asked for one; "},
    {LISTENER "certificates = none\npsk_file = psk\nclient_auth = optional\n",
     ":4: client_auth = optional without certificates; "},
    {LISTENER "psk_plain = yes\n" CERTIFICATE, ":2: psk_plain without psk_file; "},
    {LISTENER "psk_file = psk\ncertificates = main\nmqtt = identity\n" CERTIFICATE,
     ":4: mqtt = identity without client_auth = required; "},
};

START_TEST(each_mistake_is_reported_with_its_line_and_its_remedy) {
    expect_refused(refused[_i].text, strlen(refused[_i].text), refused[_i].message);
}
END_TEST

START_TEST(a_nul_byte_is_refused) {
    static const char text[] = LISTENER "listen = :1\0\n";
    expect_refused(text, sizeof text - 1, ":2: a NUL byte; ");
    static const char utf16[] = "\xff\xfe[\0l\0i\0s\0t\0";
    expect_refused(utf16, sizeof utf16 - 1, ":1: a NUL byte; ");
}
END_TEST

START_TEST(a_line_that_is_too_long_is_refused) {
    static char text[20000];
    int len = sprintf(text, LISTENER "ciphers = ");
    memset(text + len, 'A', 8192);
    expect_refused(text, strlen(text), ":2: the line is too long; at most 8192 bytes");
    memset(text + len, ' ', 500); /* inih trims blanks, so it cannot be divided */
    strcpy(text + len + 500, "A\n");
    expect_refused(text, strlen(text), ":2: the line is too long and cannot be divided; ");
    len = sprintf(text, "[listener ");
    memset(text + len, 'a', 65);
    strcpy(text + len + 65, "]\n");
    expect_refused(text, strlen(text), ":1: the name aaa");
    memset(text + len, 'a', 300);
    strcpy(text + len + 300, "]\n");
    expect_refused(text, strlen(text), ":1: a section's name that is too long; ");
    len = sprintf(text, LISTENER);
    memset(text + len, 'a', 65);
    strcpy(text + len + 65, " = 1\n");
    expect_refused(text, strlen(text), ":2: a key that is too long; ");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_reported) {
    ck_assert_ptr_null(config_load("/nonexistent/p.conf", &err));
    ck_assert_str_eq(err.text, "/nonexistent/p.conf: cannot open the configuration: "
                               "No such file or directory; name it with -c, or give --cert and "
                               "--key");
    ck_assert_ptr_null(config_load("/", &err));
    ck_assert_str_eq(err.text, "/: cannot read the configuration: Is a directory");
    size_t len = (1 << 20) + 1;
    char *text = malloc(len);
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', len);
    expect_refused(text, len, ": larger than 1 MiB");
    free(text);
}
END_TEST

/* Whatever is cut off or damaged, the result is a configuration or a message, and no leak. */
START_TEST(any_part_of_a_file_is_loaded_or_refused) {
    static const char whole[] =
        "[postern]\nworkers = 2\nticket_keys = t\n[listener a]\nlisten = :1, 127.0.0.1:2\n"
        "backend = m:1, unix:/x\nbackend_source = ::1, ::2\naccept_proxy = ::1, 10.0.0.0/8\n"
        "certificates = m\nciphers = A\n"
        "client_auth = required\nclient_ca = ca\nclient_crl = l\nclient_allow = a\npsk_file = p\n"
        "[certificate m]\ncert = c\n"
        "chain = h\nkey = k\n"
        "[route r]\nlistener = a\nserver_name = *.b.c\nalpn = x\nbackend = n:1\n";
    static const char bytes[] = "\0= ,[]:\n\xff"; /* and the NUL at its end */
    char text[sizeof whole];
    for (size_t len = 0; len < sizeof whole; len++) {
        config_free(load_bytes(whole, len));
        for (size_t i = 0; i < sizeof bytes; i++) {
            memcpy(text, whole, sizeof whole);
            text[len] = bytes[i];
            err.text[0] = '\0';
            struct config *config = load_bytes(text, sizeof whole - 1);
            ck_assert(config != NULL || strncmp(err.text, file, strlen(file)) == 0);
            config_free(config);
        }
    }
}
END_TEST

/* ---- warnings ---- */

START_TEST(an_unused_certificate_is_warned_about) {
    const char *said = warnings_of(LISTENER "certificates = main\n" CERTIFICATE
                                            "[certificate old]\ncert = c\nkey = k\n");
    ck_assert_ptr_nonnull(strstr(said, ":6: no listener uses [certificate old]"));
    ck_assert_str_eq(warnings_of(LISTENER CERTIFICATE), "");
}
END_TEST

#define IDENTITY "client_auth = required\nclient_ca = ca\nmqtt = identity\n"

START_TEST(a_backend_that_is_reachable_without_identity_is_warned_about) {
    const char *said =
        warnings_of("[listener open]\nlisten = :1\nbackend = other:1, m:1\n"
                    "[listener strict]\nlisten = :2\nbackend = m:1\n" IDENTITY CERTIFICATE);
    ck_assert_ptr_nonnull(strstr(said, ":1: [listener open] connects to the backend m:1 without "));
    ck_assert_ptr_nonnull(strstr(said, "a client can claim any name through [listener open]"));
    ck_assert_str_eq(
        warnings_of("[listener open]\nlisten = :1\nbackend = other:1\n"
                    "[listener strict]\nlisten = :2\nbackend = m:1\n" IDENTITY CERTIFICATE),
        "");
    ck_assert_str_eq(
        warnings_of("[listener open]\nlisten = :1\nbackend = m:1\n" IDENTITY
                    "[listener strict]\nlisten = :2\nbackend = m:1\n" IDENTITY CERTIFICATE),
        "");
}
END_TEST

/* ---- the command line ---- */

START_TEST(a_command_line_configures_one_listener) {
    static const struct config_option options[] = {
        {"--listen", "listener", "listen", "127.0.0.1:8883"},
        {"--backend", "listener", "backend", "unix:m.sock"},
        {"--cert", "certificate", "cert", "c.pem"},
        {"--key", "certificate", "key", "k.pem"},
        {"--workers", "postern", "workers", "2"},
        {"--watch", "postern", "reload", "watch"},
    };
    struct config *config = config_from_options(options, COUNT(options), &err);
    ck_assert_msg(config != NULL, "%s", err.text);
    ck_assert_ptr_null(config->file);
    ck_assert_uint_eq(config->workers, 2);
    ck_assert_int_eq(config->reload, RELOAD_WATCH);
    ck_assert_uint_eq(config->listener_count, 1);
    ck_assert_str_eq(config->listeners[0].name, "mqtt");
    ck_assert_uint_eq(config->listeners[0].line, 0);
    ck_assert_str_eq(config->listeners[0].backends[0].path, "m.sock");
    ck_assert_str_eq(config->listeners[0].certificates[0]->name, "main");
    ck_assert_str_eq(config->certificates[0].cert, "c.pem");
    config_free(config);
}
END_TEST

static const struct {
    struct config_option options[4];
    const char *message;
} bad_options[] = {
    {{{"--cert", "certificate", "cert", "c"}},
     "command line: --key is missing; name the file in PEM format"},
    {{{"--key", "certificate", "key", "k"}}, "command line: --cert is missing; "},
    {{{"--listen", "listener", "listen", "8883"},
      {"--cert", "certificate", "cert", "c"},
      {"--key", "certificate", "key", "k"}},
     "--listen 8883: a port without an address; "},
    {{{"--listen", "listener", "listen", ":1"}, {"--listen", "listener", "listen", ":1"}},
     "--listen: given twice; once is enough"},
    {{{"--listen", "listener", "listen", ""},
      {"--cert", "certificate", "cert", "c"},
      {"--key", "certificate", "key", "k"}},
     "--listen: listen has no value; "},
    {{{"--client-auth", "listener", "client_auth", "required"},
      {"--cert", "certificate", "cert", "c"},
      {"--key", "certificate", "key", "k"}},
     "--client-auth: client_auth without client_ca; "},
};

START_TEST(a_mistake_on_the_command_line_names_the_option) {
    size_t count = 0;
    while (count < 4 && bad_options[_i].options[count].option != NULL) {
        count++;
    }
    ck_assert_ptr_null(config_from_options(bad_options[_i].options, count, &err));
    ck_assert_msg(strstr(err.text, bad_options[_i].message) == err.text, "%s", err.text);
}
END_TEST

static void add_meaning(Suite *suite) {
    TCase *meaning = tcase_create("meaning");
    tcase_add_checked_fixture(meaning, make_folder, remove_folder);
    tcase_add_test(meaning, the_smallest_file_gets_every_default);
    tcase_add_test(meaning, without_ipv6_the_default_is_every_ipv4_address);
    tcase_add_test(meaning, every_key_sets_its_field);
    tcase_add_test(meaning, every_keyword_of_every_key_is_accepted);
    tcase_add_test(meaning, a_value_is_printed_as_the_file_has_it);
    tcase_add_test(meaning, identities_are_names_where_the_broker_gets_them);
    tcase_add_test(meaning, drain_timeout_off_and_0_mean_at_once);
    tcase_add_test(meaning, an_empty_value_means_none_where_a_key_is_optional);
    tcase_add_test(meaning, relative_paths_start_at_the_folder_of_the_file);
    tcase_add_test(meaning, paths_may_contain_any_byte_except_line_ends);
    tcase_add_loop_test(meaning, unusual_but_valid_files_load, 0, COUNT(odd_but_good));
    tcase_add_test(meaning, a_comment_of_any_length_is_fine);
    tcase_add_test(meaning, a_long_value_is_not_cut);
    tcase_add_test(meaning, a_long_list_is_not_cut);
    tcase_add_test(meaning, a_second_load_is_independent_of_the_first);
    tcase_add_test(meaning, each_file_named_is_visited);
    tcase_add_test(meaning, keys_need_no_certificates);
    tcase_add_test(meaning, the_installed_example_loads);
    tcase_add_test(meaning, addresses_print_in_canonical_form);
    suite_add_tcase(suite, meaning);
}

static void add_mistakes(Suite *suite) {
    TCase *mistakes = tcase_create("mistakes");
    tcase_add_checked_fixture(mistakes, make_folder, remove_folder);
    tcase_add_loop_test(mistakes, each_mistake_is_reported_with_its_line_and_its_remedy, 0,
                        COUNT(refused));
    tcase_add_test(mistakes, a_nul_byte_is_refused);
    tcase_add_test(mistakes, a_line_that_is_too_long_is_refused);
    tcase_add_test(mistakes, a_file_that_cannot_be_read_is_reported);
    tcase_add_test(mistakes, any_part_of_a_file_is_loaded_or_refused);
    tcase_add_test(mistakes, an_unused_certificate_is_warned_about);
    tcase_add_test(mistakes, a_backend_that_is_reachable_without_identity_is_warned_about);
    tcase_add_test(mistakes, a_command_line_configures_one_listener);
    tcase_add_loop_test(mistakes, a_mistake_on_the_command_line_names_the_option, 0,
                        COUNT(bad_options));
    suite_add_tcase(suite, mistakes);
}

int main(void) {
    Suite *suite = suite_create("config");
    add_meaning(suite);
    add_mistakes(suite);
    return run_suite(suite, CK_NOFORK);
}
