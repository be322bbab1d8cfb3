/* A connection whose handshake is complete: what it gives back, and where its records are made. */
#ifndef POSTERN_RELAY_H
#define POSTERN_RELAY_H

struct WOLFSSL;

/* Frees what the library keeps for resumption: the session, which has room for a ticket (about 700
 * bytes, a quarter of an idle connection). The tickets are sent by then and the session cache has
 * its copy; a server looks at the session only during the handshake. */
void postern_relay_begin(struct WOLFSSL *ssl);

/* Until postern_relay_return the library builds what it sends in `room`, as long as it fits, and
 * the send callback gets it there: nothing has to be copied or allocated. The callback has to take
 * all of it, and calls postern_relay_sent, which moves the library's room behind it. */
void postern_relay_lend(struct WOLFSSL *ssl, unsigned char *room, unsigned int size);
void postern_relay_sent(struct WOLFSSL *ssl, unsigned int size);
void postern_relay_return(struct WOLFSSL *ssl);

/* For the receive callback, when the library asks for a record's header and the whole record is
 * here: the library decrypts it where it is. The callback returns the header's size, as if it had
 * copied that. The caller must read until nothing of the record is left, and then call
 * postern_relay_take_back. 0 if the library has bytes of its own that come first. */
int postern_relay_lend_record(struct WOLFSSL *ssl, unsigned char *record, unsigned int len);

/* For the receive callback, when it copies instead: where to. `buf` is what it was given, which may
 * lie in the record before. */
unsigned char *postern_relay_own_input(struct WOLFSSL *ssl, unsigned char *buf);
void postern_relay_take_back(struct WOLFSSL *ssl);

#endif
