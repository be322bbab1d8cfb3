/*
 * A client on Eclipse Paho's C library: paho PORT CA|- DOWN UP RUNS. Each run connects, takes the
 * retained message on DOWN, publishes it on UP, and disconnects; all runs use one client object,
 * as a program that reconnects does. With - for the CA, nothing is verified.
 */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 20000 };

static void must(int code, const char *what) {
    if (code == MQTTCLIENT_SUCCESS)
        return;
    fprintf(stderr, "%s failed: %d\n", what, code);
    exit(1);
}

static int on_error(const char *text, size_t size, void *context) {
    (void)context;
    fprintf(stderr, "%.*s", (int)size, text);
    return 1;
}

static void run(MQTTClient client, MQTTClient_connectOptions *options, const char *down,
                const char *up) {
    MQTTClient_message *message = NULL;
    MQTTClient_deliveryToken token;
    char *topic = NULL;
    int topic_size;

    must(MQTTClient_connect(client, options), "connect");
    must(MQTTClient_subscribe(client, down, 0), "subscribe");
    must(MQTTClient_receive(client, &topic, &topic_size, &message, PATIENCE_MS), "receive");
    if (message == NULL)
        must(MQTTCLIENT_FAILURE, "receive");
    must(MQTTClient_publish(client, up, message->payloadlen, message->payload, 1, 0, &token),
         "publish");
    must(MQTTClient_waitForCompletion(client, token, PATIENCE_MS), "the acknowledgement");
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    must(MQTTClient_disconnect(client, 1000), "disconnect");
}

int main(int argc, char **argv) {
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    MQTTClient_SSLOptions ssl = MQTTClient_SSLOptions_initializer;
    MQTTClient client;
    char uri[64];

    if (argc != 6)
        return 2;
    int verify = strcmp(argv[2], "-") != 0;
    snprintf(uri, sizeof uri, "ssl://localhost:%s", argv[1]);
    ssl.trustStore = verify ? argv[2] : NULL;
    ssl.enableServerCertAuth = verify; /* the chain */
    ssl.verify = verify;               /* the name, which is off by default */
    ssl.ssl_error_cb = on_error;
    options.ssl = &ssl;
    options.connectTimeout = 10;
    must(MQTTClient_create(&client, uri, "paho-c", MQTTCLIENT_PERSISTENCE_NONE, NULL), "create");
    for (int left = atoi(argv[5]); left > 0; left--)
        run(client, &options, argv[3], argv[4]);
    MQTTClient_destroy(&client);
    return 0;
}
