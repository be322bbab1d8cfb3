/* The TLS library's headers, for src/tls/ alone: its own build is configured by user_settings.h,
 * the distribution's by options.h, which must come first. */
#ifndef POSTERN_TLS_WOLFSSL_H
#define POSTERN_TLS_WOLFSSL_H

#ifndef POSTERN_OWN_WOLFSSL
#include <wolfssl/options.h>
#endif
#include <wolfssl/ssl.h>

#endif
