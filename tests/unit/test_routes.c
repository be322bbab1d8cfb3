/* Routes: which one a client gets, what a route inherits, and the message for each mistake. */
#include "config/config.h"
#include "run.h"
#include "session/route.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* Each is complete with what is tested put in between. */
#define LISTENER    "[listener mqtt]\nlisten = :1\nbackend = own:1\n"
#define CERTIFICATE "[certificate main]\ncert = c.pem\nkey = k.pem\n"
#define CLIENTS     "client_auth = required\nclient_ca = ca\n"

static char folder[64], file[96];
static struct error err;

static void make_folder(void) {
    strcpy(folder, P_tmpdir "/postern-routes-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/p.conf", folder);
    err.text[0] = '\0';
}

static void remove_folder(void) {
    unlink(file);
    rmdir(folder);
}

static struct config *load_text(const char *text) {
    unlink(file);
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_ge(fputs(text, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return config_load(file, &err);
}

static struct config *load(const char *text) {
    struct config *config = load_text(text);
    ck_assert_msg(config != NULL, "%s", err.text);
    return config;
}

/* ---- who gets which ---- */

/* As client_hello_parse leaves it; the protocols separated by commas. */
static struct client_hello hello_of(const char *name, const char *protocols) {
    struct client_hello hello = {.server_name = ""};
    snprintf(hello.server_name, sizeof hello.server_name, "%s", name);
    while (*protocols != '\0') {
        size_t len = strcspn(protocols, ",");
        hello.protocols[hello.protocols_len] = (uint8_t)len;
        memcpy(hello.protocols + hello.protocols_len + 1, protocols, len);
        hello.protocols_len = (uint16_t)(hello.protocols_len + 1 + len);
        protocols += len + (protocols[len] == ',');
    }
    return hello;
}

static const char *find(const struct config_listener *l, const char *name, const char *protocols) {
    struct client_hello hello = hello_of(name, protocols);
    size_t found = route_find(l, &hello);
    return found == 0 ? "-" : l->routes[found - 1].route;
}

/* The least specific come first, so that it is not the order of the file that decides. */
static const char every_kind[] =
    LISTENER CERTIFICATE "[route all-web]\nalpn = http/1.1, h2\n"
                         "[route all-x]\nalpn = x, y\n"
                         "[route wild]\nserver_name = *.example.org\n"
                         "[route wild-web]\nserver_name = *.example.org\nalpn = http/1.1\n"
                         "[route wild-deep]\nserver_name = *.b.example.org, *.lan\n"
                         "[route a]\nserver_name = A.Example.Org., a2.example.org, b.lan\n"
                         "[route a-web]\nserver_name = a.example.org\nalpn = http/1.1, wss\n"
                         "[route xn]\nserver_name = xn--mnchen-3ya.example, _m-1.example\n";

static const struct {
    const char *name, *protocols, *route;
} clients[] = {
    /* the name itself before a wildcard, with a protocol before without */
    {"a.example.org", "", "a"},
    {"a.example.org", "mqtt", "a"},
    {"a.example.org", "http/1.1", "a-web"},
    {"a.example.org", "mqtt,wss", "a-web"},
    {"a2.example.org", "http/1.1", "a"}, /* the name counts before the protocol */
    {"b.lan", "", "a"},
    {"c.lan", "", "wild-deep"},
    {"z.example.org", "", "wild"},
    {"z.example.org", "http/1.1", "wild-web"},
    {"z.example.org", "h2", "wild"},
    /* a wildcard is one label */
    {"example.org", "", "-"},
    {"a.b.example.org", "http/1.1", "wild-deep"},
    {"a.c.example.org", "", "-"},
    {"a.b.c.example.org", "http/1.1", "all-web"},
    {".example.org", "", "-"},
    {"lan", "", "-"},
    {"xa.example.orgx", "", "-"},
    /* protocols alone; of several, the first in the file */
    {"", "http/1.1", "all-web"},
    {"", "x", "all-x"},
    {"", "x,http/1.1", "all-web"},
    {"", "h2", "all-web"},
    {"unknown", "mqtt,x", "all-x"},
    {"", "http/1.", "-"},
    {"", "http/1.10", "-"},
    {"", "HTTP/1.1", "-"},
    {"unknown", "", "-"},
    {"", "", "-"},
    {"xn--mnchen-3ya.example", "", "xn"},
    {"_m-1.example", "", "xn"},
    /* an address is no name */
    {"192.0.2.1", "", "-"},
    {"192.0.2.1", "x", "all-x"},
};

START_TEST(the_most_specific_route_is_found) {
    struct config *config = load(every_kind);
    const struct config_listener *l = &config->listeners[0];
    const char *got = find(l, clients[_i].name, clients[_i].protocols);
    ck_assert_msg(strcmp(got, clients[_i].route) == 0, "%s with %s: %s, not %s", clients[_i].name,
                  clients[_i].protocols, got, clients[_i].route);
    config_free(config);
}
END_TEST

START_TEST(without_routes_the_listener_is_found) {
    struct config *config = load(LISTENER CERTIFICATE);
    ck_assert_str_eq(find(&config->listeners[0], "a.example.org", "mqtt"), "-");
    config_free(config);
}
END_TEST

START_TEST(the_last_label_alone_is_no_wildcard) {
    struct config *config = load(LISTENER CERTIFICATE "[route r]\nserver_name = *.org\n");
    ck_assert_str_eq(find(&config->listeners[0], "example.org", ""), "r");
    ck_assert_str_eq(find(&config->listeners[0], "org", ""), "-");
    ck_assert_str_eq(find(&config->listeners[0], "a.example.org", ""), "-");
    config_free(config);
}
END_TEST

/* ---- what a route has ---- */

START_TEST(a_route_has_its_own_settings_and_else_its_listeners) {
    struct config *config =
        load("[listener mqtt]\nlisten = :1\nbackend = own:1, spare:2\ncertificates = main\n"
             "mqtt = identity\nclient_id = prefix\nproxy_protocol = v2\nidentity = san-uri\n"
             "max_record_size = 1024\nidle_timeout = 7s\nclient_crl = crl\n" CLIENTS CERTIFICATE
             "[certificate other]\ncert = 2.pem\nkey = 2.key\n"
             "[route same]\nserver_name = same.lan\n"
             "[route own]\nserver_name = own.lan, *.OWN.lan\nalpn = b, a\nbackend = unix:/b\n"
             "certificates = other, main\nidentity = cn\nproxy_protocol = off\nclient_ca = ca2\n"
             "client_crl =\nclient_allow = list\nclient_id = identity\nrevoked_sessions = end\n"
             "backend_source = ::1\n");
    const struct config_listener *l = &config->listeners[0];
    ck_assert_uint_eq(l->route_count, 2);
    ck_assert(l->route == NULL && !l->by_protocol && l->server_name_count == 0);

    const struct config_listener *same = &l->routes[0];
    ck_assert_str_eq(same->route, "same");
    ck_assert_str_eq(same->name, "mqtt");
    ck_assert_uint_eq(same->backend_count, 2);
    ck_assert_str_eq(same->backends[1].host, "spare");
    ck_assert_ptr_eq(same->certificates[0], &config->certificates[0]);
    ck_assert_int_eq(same->mqtt, MQTT_IDENTITY);
    ck_assert_int_eq(same->client_id, CLIENT_ID_PREFIX);
    ck_assert_int_eq(same->proxy_protocol, PROXY_PROTOCOL_V2);
    ck_assert_int_eq(same->client_auth, CLIENT_AUTH_REQUIRED);
    ck_assert_int_eq(same->identity, IDENTITY_SAN_URI);
    ck_assert_str_eq(same->client_ca, l->client_ca);
    ck_assert_str_eq(same->client_crl, l->client_crl);
    ck_assert_uint_eq(same->max_record_size, 1024);
    ck_assert_uint_eq(same->idle_timeout_ms, 7000);
    ck_assert(!same->by_protocol);
    ck_assert_str_eq(same->alpn.all[0], "mqtt");

    const struct config_listener *own = &l->routes[1];
    ck_assert_uint_eq(own->server_name_count, 2);
    ck_assert_str_eq(own->server_names[1], "*.own.lan");
    ck_assert(own->by_protocol);
    ck_assert_uint_eq(own->alpn.count, 2);
    ck_assert_str_eq(own->alpn.all[0], "b");
    ck_assert_uint_eq(own->backend_count, 1);
    ck_assert_str_eq(own->backends[0].path, "/b");
    ck_assert_uint_eq(own->certificate_count, 2);
    ck_assert_ptr_eq(own->certificates[0], &config->certificates[1]);
    ck_assert_int_eq(own->identity, IDENTITY_CN);
    ck_assert_int_eq(own->client_id, CLIENT_ID_IDENTITY);
    ck_assert_int_eq(own->proxy_protocol, PROXY_PROTOCOL_OFF);
    ck_assert_int_eq(own->revoked_sessions, REVOKED_END);
    ck_assert_ptr_null(own->client_crl);
    ck_assert_uint_eq(own->backend_source.count, 1);
    ck_assert_uint_eq(own->max_record_size, 1024);
    ck_assert_uint_eq(own->line, 22);
    config_free(config);
}
END_TEST

/* What the listener asks of its clients means nothing where a route asks for less. */
START_TEST(a_route_does_not_inherit_what_contradicts_its_own_settings) {
    struct config *config =
        load("[listener mqtt]\nlisten = :1\nmqtt = identity\nclient_id = prefix\n"
             "client_crl = crl\nclient_allow = list\n" CLIENTS CERTIFICATE
             "[route web]\nalpn = http/1.1\nmqtt = off\nclient_auth = none\nbackend = web:1\n"
             "[route checked]\nserver_name = c.lan\nmqtt = check\n");
    const struct config_listener *web = &config->listeners[0].routes[0];
    ck_assert(web->client_ca == NULL && web->client_crl == NULL && web->client_allow == NULL);
    ck_assert_int_eq(web->client_id, CLIENT_ID_FREE);
    ck_assert_int_eq(web->mqtt, MQTT_OFF);
    const struct config_listener *checked = &config->listeners[0].routes[1];
    ck_assert_int_eq(checked->client_id, CLIENT_ID_FREE);
    ck_assert_ptr_nonnull(checked->client_allow);
    config_free(config);
    config = load(LISTENER "dial = handshake\n" CERTIFICATE
                           "[route r]\nserver_name = c.lan\nmqtt = check\n");
    ck_assert_int_eq(config->listeners[0].routes[0].dial, DIAL_AFTER_FIRST_BYTE);
    config_free(config);
}
END_TEST

/* Each has keys alone, keys beside certificates, or none. */
START_TEST(a_route_has_its_listeners_keys_or_its_own) {
    struct config *config =
        load("[listener mqtt]\nlisten = :1\npsk_file = keys\npsk_plain = yes\ncertificates = main\n"
             "client_crl = crl\nclient_allow = list\nclient_auth = optional\nclient_ca = "
             "ca\n" CERTIFICATE "[route same]\nserver_name = same.lan\n"
             "[route alone]\nserver_name = alone.lan\ncertificates = none\n"
             "[route own]\nserver_name = own.lan\npsk_file = keys2\n"
             "[route without]\nserver_name = w.lan\npsk_file =\n");
    const struct config_listener *l = &config->listeners[0], *same = &l->routes[0],
                                 *alone = &l->routes[1], *own = &l->routes[2],
                                 *without = &l->routes[3];
    ck_assert_str_eq(same->psk_file, l->psk_file);
    ck_assert_int_eq(same->psk_plain, PSK_PLAIN_ACCEPT);
    ck_assert_uint_eq(same->certificate_count, 1);
    ck_assert_str_eq(alone->psk_file, l->psk_file);
    ck_assert_uint_eq(alone->certificate_count, 0);
    ck_assert_int_eq(alone->client_auth, CLIENT_AUTH_NONE);
    ck_assert(alone->client_ca == NULL && alone->client_crl == NULL && alone->client_allow == NULL);
    ck_assert_str_eq(strrchr(own->psk_file, '/'), "/keys2");
    ck_assert_int_eq(own->psk_plain, PSK_PLAIN_REFUSE);
    ck_assert_str_eq(own->client_ca, l->client_ca);
    ck_assert_ptr_null(without->psk_file);
    ck_assert_int_eq(without->psk_plain, PSK_PLAIN_REFUSE);
    config_free(config);
    config = load(LISTENER "certificates = none\npsk_file = keys\n" CERTIFICATE
                           "[route r]\nserver_name = r.lan\ncertificates = main\npsk_file =\n");
    ck_assert_uint_eq(config->listeners[0].certificate_count, 0);
    ck_assert_uint_eq(config->listeners[0].routes[0].certificate_count, 1);
    ck_assert_ptr_null(config->listeners[0].routes[0].psk_file);
    config_free(config);
}
END_TEST

/* Whether keys count without forward secrecy is said with the keys. */
START_TEST(psk_plain_belongs_to_the_psk_file_that_is_used) {
    struct config *config =
        load("[listener mqtt]\nlisten = :1\npsk_file = keys\ncertificates = main\n" CERTIFICATE
             "[route same]\nserver_name = same.lan\npsk_plain = yes\n"
             "[route own]\nserver_name = own.lan\npsk_file = keys2\npsk_plain = yes\n"
             "[route again]\nserver_name = again.lan\npsk_file = keys\n"
             "[route strict]\nserver_name = strict.lan\n");
    const struct config_listener *l = &config->listeners[0];
    ck_assert_int_eq(l->psk_plain, PSK_PLAIN_REFUSE);
    ck_assert_int_eq(l->routes[0].psk_plain, PSK_PLAIN_ACCEPT);
    ck_assert_int_eq(l->routes[1].psk_plain, PSK_PLAIN_ACCEPT);
    ck_assert_int_eq(l->routes[2].psk_plain, PSK_PLAIN_REFUSE);
    ck_assert_int_eq(l->routes[3].psk_plain, PSK_PLAIN_REFUSE);
    config_free(config);
    config = load("[listener mqtt]\nlisten = :1\npsk_file = keys\npsk_plain = yes\n"
                  "certificates = main\n" CERTIFICATE
                  "[route strict]\nserver_name = strict.lan\npsk_plain = no\n"
                  "[route named]\nserver_name = named.lan\npsk_file = keys\n");
    ck_assert_int_eq(config->listeners[0].routes[0].psk_plain, PSK_PLAIN_REFUSE);
    ck_assert_int_eq(config->listeners[0].routes[1].psk_plain, PSK_PLAIN_REFUSE);
    config_free(config);
}
END_TEST

START_TEST(a_route_may_belong_to_several_listeners) {
    struct config *config = load("[route r]\nlistener = a, b\nserver_name = r.lan\n"
                                 "[route only-b]\nlistener = b\nalpn = x\n"
                                 "[listener a]\nlisten = :1\nbackend = a:1\n"
                                 "[listener b]\nlisten = :2\nbackend = b:1\n" CERTIFICATE);
    const struct config_listener *a = &config->listeners[0], *b = &config->listeners[1];
    ck_assert_uint_eq(a->route_count, 1);
    ck_assert_uint_eq(b->route_count, 2);
    ck_assert_str_eq(a->routes[0].backends[0].host, "a");
    ck_assert_str_eq(b->routes[0].backends[0].host, "b");
    ck_assert_str_eq(b->routes[0].name, "b");
    ck_assert_str_eq(b->routes[1].route, "only-b");
    config_free(config);
}
END_TEST

static void count_file(const char *name, void *arg) {
    char *all = arg;
    sprintf(all + strlen(all), "%s ", strrchr(name, '/') + 1);
}

START_TEST(the_files_of_routes_are_visited) {
    char all[256] = "";
    struct config *config =
        load(LISTENER CERTIFICATE "[route r]\nserver_name = r.lan\nclient_auth = optional\n"
                                  "client_ca = ca2\nclient_crl = crl2\nclient_allow = list2\n"
                                  "psk_file = keys2\n");
    config_each_file(config, count_file, all);
    ck_assert_str_eq(all, "c.pem k.pem ca2 crl2 list2 keys2 ");
    config_free(config);
}
END_TEST

/* ---- what is refused ---- */

#define ROUTE "[route r]\nserver_name = r.lan\n"
#define BASE  LISTENER CERTIFICATE /* six lines */
#define A63   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *text, *message;
} refused[] = {
    {BASE "[route]\n", ":7: section [route] has no name; write it as in [route web]"},
    {BASE ROUTE ROUTE, ":9: section [route r] is defined twice, first in line 7; "},
    {BASE "[router r]\n", ":7: unknown section [router r]; did you mean [route r]?"},

    /* keys of other sections */
    {BASE ROUTE "listen = :2\n",
     ":9: key listen does not belong in [route r]; it belongs in a [listener NAME] section"},
    {BASE ROUTE "max_connections = 2\n", ":9: key max_connections does not belong in [route r]; "},
    {BASE ROUTE "cert = x\n", ":9: key cert does not belong in [route r]; it belongs in a [certif"},
    {LISTENER "server_name = x\n" CERTIFICATE, ":4: key server_name does not belong in [listener "
                                               "mqtt]; it belongs in a [route NAME] section"},
    {BASE ROUTE "servername = x\n",
     ":9: unknown key servername in [route r]; did you mean server_"},
    {BASE ROUTE "server_name = x\n", ":9: key server_name is given twice, first in line 8; "},

    /* the listener */
    {BASE ROUTE "listener = other\n",
     ":9: listener = other: no section [listener other] is defined; define it, or name one"},
    {BASE ROUTE "listener = mqtt, mqtt\n",
     ":9: listener = mqtt, mqtt: it names mqtt twice; once is enough"},
    {BASE ROUTE "listener = mqtt,\n", ":9: listener = mqtt,: an empty item in the list; "},
    {BASE ROUTE "listener =\n", ":9: listener = : an empty item in the list; "},
    {"[listener a]\nlisten = :1\n[listener b]\nlisten = :2\n" CERTIFICATE ROUTE,
     ":8: [route r] names no listener, and several are defined; write listener = NAME"},

    /* server names */
    {BASE "[route r]\n", ":7: [route r] has neither server_name nor alpn, so that it would be "},
    {BASE "[route r]\nserver_name =\n", ":8: [route r] has neither server_name nor alpn, "},
    {BASE "[route r]\nserver_name = a.lan, b.lan, A.LAN.\n",
     ":8: server_name names a.lan twice; once is enough"},
    {BASE "[route r]\nserver_name = 192.0.2.1\n",
     ":8: server_name = 192.0.2.1: 192.0.2.1 is an address; clients ask for a server by name"},
    {BASE "[route r]\nserver_name = *.0.2.1\n", ":8: server_name = *.0.2.1: *.0.2.1 is an add"},
    {BASE "[route r]\nserver_name = 1883\n", ":8: server_name = 1883: 1883 is an address; "},
    {BASE "[route r]\nserver_name = ::1\n", ":8: server_name = ::1: ::1 is an address; "},
    {BASE "[route r]\nserver_name = a.lan:8883\n",
     ":8: server_name = a.lan:8883: a.lan:8883 is an"},
    {BASE "[route r]\nserver_name = *\n", ":8: server_name = *: * has its * at the wrong place; "},
    {BASE "[route r]\nserver_name = a*.lan\n", ":8: server_name = a*.lan: a*.lan has its * at "},
    {BASE "[route r]\nserver_name = a.*.lan\n", ":8: server_name = a.*.lan: a.*.lan has its * "},
    {BASE "[route r]\nserver_name = *.*.lan\n", ":8: server_name = *.*.lan: *.*.lan has its * "},
    {BASE "[route r]\nserver_name = a..lan\n", ":8: server_name = a..lan: a..lan is not a server"},
    {BASE "[route r]\nserver_name = .\n", ":8: server_name = .: . is not a server name; "},
    {BASE "[route r]\nserver_name = a b.lan\n", ":8: server_name = a b.lan: a b.lan is not a ser"},
    {BASE "[route r]\nserver_name = m\xc3\xbcnchen.lan\n",
     ":8: server_name = m\xc3\xbcnchen.lan: "},
    {BASE "[route r]\nserver_name = a" A63 ".lan\n", ":8: server_name = a" A63},
    {BASE "[route r]\nserver_name = " A63 "." A63 "." A63 "." A63 "\n", ":8: server_name = " A63},

    /* for the same clients */
    {BASE "[route a]\nserver_name = a.lan, b.lan\n[route b]\nserver_name = c.lan, B.lan\n",
     ":10: [route b] is for the same clients as [route a] (line 7), by the server name b.lan; "},
    {BASE "[route a]\nserver_name = *.lan\nalpn = x, y\n[route b]\nserver_name = *.lan\nalpn = y\n",
     ":11: [route b] is for the same clients as [route a] (line 7), by the server name *.lan, by "
     "the protocol y; give one of them another server_name or alpn"},
    {BASE "[route a]\nalpn = x, y\n[route b]\nalpn = y\n",
     ":10: [route b] is for the same clients as [route a] (line 7), by the protocol y; "},
    {"[listener a]\nlisten = :1\n[listener b]\nlisten = :2\n" CERTIFICATE
     "[route a]\nlistener = a, b\nalpn = x\n[route b]\nlistener = b\nalpn = x\n",
     ":13: [route b] is for the same clients as [route a] (line 8), by the protocol x; "},

    /* what does not go together, as in a listener */
    {LISTENER "mqtt = check\n" CERTIFICATE "[route w]\nalpn = http/1.1\n",
     ":9: alpn has http/1.1 with mqtt = check, which such a client does not speak; "},
    {BASE ROUTE "alpn = x, http/1.1\nmqtt = check\n", ":9: alpn has http/1.1 with mqtt = check, "},
    {BASE ROUTE "alpn = x, x\n", ":9: alpn names x twice; once is enough"},
    {BASE ROUTE "mqtt = identity\n", ":9: mqtt = identity without client_auth = required; "},
    {LISTENER CLIENTS "mqtt = identity\n" CERTIFICATE ROUTE "client_auth = none\n",
     ":10: mqtt = identity without client_auth = required; "},
    {BASE ROUTE "client_auth = required\n", ":9: client_auth without client_ca; "},
    {BASE ROUTE "client_id = prefix\n", ":9: client_id without mqtt = identity, "},
    {BASE ROUTE "certificates = main, main\n", ":9: certificates names main twice; "},
    {BASE ROUTE "certificates = nobody\n",
     ":9: certificates = nobody: no section [certificate nobod"},
    {BASE ROUTE "mqtt = check\ndial = handshake\n", ":10: dial = handshake with mqtt = check, "},

    /* pre-shared keys */
    {BASE ROUTE "certificates = none\n", ":9: certificates = none without psk_file, "},
    {LISTENER "certificates = none\npsk_file = k\n" CERTIFICATE ROUTE "psk_file =\n",
     ":9: certificates = none without psk_file, "},
    {BASE ROUTE "psk_plain = yes\n", ":9: psk_plain without psk_file; "},
    {BASE ROUTE "certificates = none\npsk_file = k\nclient_ca = ca\n",
     ":11: client_ca without certificates, so that no client would be asked for one; "},

    /* another CA, and the listener's lists */
    {LISTENER CLIENTS "client_crl = crl\n" CERTIFICATE ROUTE "client_ca = ca2\n",
     ":12: [route r] has a client_ca of its own, but client_crl of [listener mqtt], which is about "
     "other clients; write client_crl = FILE, or client_crl = for none"},
    {LISTENER CLIENTS "client_allow = l\n" CERTIFICATE ROUTE "client_ca = ca2\n",
     ":12: [route r] has a client_ca of its own, but client_allow of [listener mqtt], "},
    {LISTENER "client_auth = required\nclient_allow = l\n" CERTIFICATE ROUTE "client_ca = ca\n",
     ":11: [route r] has a client_ca of its own, but client_allow of [listener mqtt], "},
    {LISTENER CLIENTS "psk_file = k\n"
                      "certificates = main\n" CERTIFICATE ROUTE "client_ca = ca2\n",
     ":13: [route r] has a client_ca of its own, but psk_file of [listener mqtt], which is about "
     "other clients; write psk_file = FILE, or psk_file = for none"},
    {LISTENER "psk_file = k\ncertificates = main\n" CERTIFICATE ROUTE
              "client_auth = required\nclient_ca = ca2\n",
     ":12: [route r] has a client_ca of its own, but psk_file of [listener mqtt], "},
    {LISTENER CLIENTS "client_crl = crl\n" CERTIFICATE ROUTE "client_ca =\nclient_allow = l\n",
     ":12: [route r] has a client_ca of its own, but client_crl of [listener mqtt], "},

    /* another list of allowed clients, and the listener's keys */
    {LISTENER "psk_file = k\ncertificates = main\n" CERTIFICATE ROUTE
              "client_auth = required\nclient_allow = l\n",
     ":12: [route r] has a client_allow of its own, but psk_file of [listener mqtt], which is "
     "about "
     "other clients; write psk_file = FILE, or psk_file = for none"},
    {LISTENER CLIENTS "psk_file = k\n"
                      "certificates = main\n" CERTIFICATE ROUTE "client_allow = l\n",
     ":13: [route r] has a client_allow of its own, but psk_file of [listener mqtt], "},

    /* certificates, where the listener lets nobody in without a key */
    {LISTENER "certificates = none\npsk_file = k\n" CERTIFICATE ROUTE "certificates = main\n",
     ":11: [route r] has certificates, but no client_auth: [listener mqtt] without certificates "
     "lets nobody in without a key, this route would; write client_auth = none if it should, "},
};

START_TEST(each_mistake_is_reported_with_its_line_and_its_remedy) {
    char expected[512];
    struct config *config = load_text(refused[_i].text);
    ck_assert_msg(config == NULL, "loaded; expected: %s", refused[_i].message);
    snprintf(expected, sizeof expected, "%s%s", file, refused[_i].message);
    ck_assert_msg(strncmp(err.text, expected, strlen(expected)) == 0, "got: %s\nexpected: %s",
                  err.text, expected);
    ck_assert_msg(strstr(err.text, "; ") != NULL, "does not say what to write: %s", err.text);
}
END_TEST

static const char *const fine[] = {
    LISTENER "certificates = none\npsk_file = k\n" CERTIFICATE ROUTE
             "certificates = main\nclient_auth = none\n",
    LISTENER "certificates = none\npsk_file = k\n" CERTIFICATE ROUTE "psk_file = k2\n",
    LISTENER "certificates = none\npsk_file = k\n" CERTIFICATE ROUTE
             "certificates = main\nclient_auth = required\nclient_ca = ca\npsk_file =\n",
    LISTENER CLIENTS "client_allow = l\npsk_file = k\ncertificates = main\n" CERTIFICATE ROUTE
                     "client_allow = l\n",
    LISTENER CLIENTS "psk_file = k\ncertificates = main\n" CERTIFICATE ROUTE
                     "client_allow = l\npsk_file =\n",
    LISTENER CLIENTS "client_crl = crl\n" CERTIFICATE ROUTE "client_allow = l\n",
    /* the same file by the same name is no other CA */
    LISTENER CLIENTS "client_crl = crl\n" CERTIFICATE ROUTE "client_ca = ca\n",
    LISTENER CLIENTS "client_crl = crl\n" CERTIFICATE ROUTE "client_ca = ca2\nclient_crl = crl2\n",
    LISTENER CLIENTS "client_crl = crl\n" CERTIFICATE ROUTE
                     "client_ca =\nclient_crl =\nclient_allow = l\n",
    LISTENER CLIENTS "psk_file = k\ncertificates = main\n" CERTIFICATE ROUTE
                     "client_ca = ca2\npsk_file =\n",
    LISTENER CLIENTS "psk_file = k\ncertificates = main\n" CERTIFICATE ROUTE
                     "client_ca = ca2\npsk_file = k2\n",
    LISTENER CLIENTS "psk_file = k\ncertificates = main\nclient_crl = crl\n" CERTIFICATE ROUTE
                     "certificates = none\nmqtt = identity\n",
    /* routes that only look alike */
    BASE "[route a]\nserver_name = a.lan\n[route b]\nserver_name = a.lan\nalpn = x\n"
         "[route c]\nserver_name = *.lan\nalpn = x\n[route d]\nalpn = x\n"
         "[route e]\nserver_name = a.lan\nalpn = y\n",
    "[listener a]\nlisten = :1\n[listener b]\nlisten = :2\n" CERTIFICATE
    "[route a]\nlistener = a\nalpn = x\n[route b]\nlistener = b\nalpn = x\n",
    BASE "[route r]\nserver_name = " A63 "." A63 "." A63 ".a\n",
    LISTENER "unknown_name = refuse\n" CERTIFICATE ROUTE,
};

START_TEST(what_only_looks_like_a_mistake_loads) {
    config_free(load(fine[_i]));
}
END_TEST

/* ---- warnings ---- */

static char *warnings_of(const char *text) {
    static char said[4096];
    FILE *capture = tmpfile();
    int saved = dup(STDERR_FILENO);
    ck_assert(capture != NULL && saved >= 0);
    dup2(fileno(capture), STDERR_FILENO);
    struct config *config = load_text(text);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ck_assert_msg(config != NULL, "%s", err.text);
    config_free(config);
    ck_assert_int_eq(fseek(capture, 0, SEEK_SET), 0);
    said[fread(said, 1, sizeof said - 1, capture)] = '\0';
    fclose(capture);
    return said;
}

START_TEST(a_route_that_leads_round_the_identities_is_warned_about) {
    static const char strict[] = LISTENER "mqtt = identity\n" CLIENTS CERTIFICATE;
    char text[1024];
    snprintf(text, sizeof text, "%s[route r]\nserver_name = r.lan\nmqtt = check\n", strict);
    const char *said = warnings_of(text);
    ck_assert_msg(strstr(said, ":10: [route r] connects to the backend own:1 without mqtt = "
                               "identity, while [listener mqtt] gives it identities") != NULL,
                  "%s", said);
    snprintf(text, sizeof text, "%s[route r]\nserver_name = r.lan\nmqtt = off\nbackend = b:1\n",
             strict);
    ck_assert_str_eq(warnings_of(text), "");
    said = warnings_of(BASE ROUTE CLIENTS "mqtt = identity\n");
    ck_assert_msg(strstr(said, ":1: [listener mqtt] connects to the backend own:1 without ") !=
                          NULL &&
                      strstr(said, "while [route r] gives it identities") != NULL,
                  "%s", said);
}
END_TEST

START_TEST(a_certificate_of_a_route_is_used) {
    ck_assert_str_eq(warnings_of(LISTENER "certificates = main\n" CERTIFICATE ROUTE
                                          "certificates = own\n"
                                          "[certificate own]\ncert = c\nkey = k\n"),
                     "");
}
END_TEST

START_TEST(a_route_in_which_nobody_speaks_is_warned_about) {
    const char *said = warnings_of(LISTENER "mqtt = check\nfirst_data_timeout = off\n" CERTIFICATE
                                            "[route w]\nalpn = http/1.1\nmqtt = off\n");
    ck_assert_msg(strstr(said, ":9: [route w] has first_data_timeout = off, and dials ") != NULL,
                  "%s", said);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("routes");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, make_folder, remove_folder);
    tcase_add_loop_test(all, the_most_specific_route_is_found, 0, COUNT(clients));
    tcase_add_test(all, without_routes_the_listener_is_found);
    tcase_add_test(all, the_last_label_alone_is_no_wildcard);
    tcase_add_test(all, a_route_has_its_own_settings_and_else_its_listeners);
    tcase_add_test(all, a_route_does_not_inherit_what_contradicts_its_own_settings);
    tcase_add_test(all, a_route_has_its_listeners_keys_or_its_own);
    tcase_add_test(all, psk_plain_belongs_to_the_psk_file_that_is_used);
    tcase_add_test(all, a_route_may_belong_to_several_listeners);
    tcase_add_test(all, the_files_of_routes_are_visited);
    tcase_add_loop_test(all, each_mistake_is_reported_with_its_line_and_its_remedy, 0,
                        COUNT(refused));
    tcase_add_loop_test(all, what_only_looks_like_a_mistake_loads, 0, COUNT(fine));
    tcase_add_test(all, a_route_that_leads_round_the_identities_is_warned_about);
    tcase_add_test(all, a_certificate_of_a_route_is_used);
    tcase_add_test(all, a_route_in_which_nobody_speaks_is_warned_about);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_NOFORK);
}
