/* A fatal alert for a failure that the library does not report to its peer. */
#ifndef POSTERN_ALERT_H
#define POSTERN_ALERT_H

struct WOLFSSL;

/* Sends the alert, unless a fatal one was sent before (one-alert.diff); 0, or another value if it
 * cannot. What waits to be sent in plaintext is dropped before: the client must not get a
 * ServerHello, after which it expects encryption, and then an alert without. And there is no alert
 * between ChangeCipherSpec and Finished of TLS 1.2, where a client expects none (memory has run out
 * there). */
int postern_alert(struct WOLFSSL *ssl, int description);

#endif
