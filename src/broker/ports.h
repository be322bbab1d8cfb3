/* How Linux gives out the local ports of connections (__inet_hash_connect in
 * net/ipv4/inet_hashtables.c), as far as it matters with very many of them to one broker.
 *
 * From 4.6 on, and in 6.18 still, a connect takes every second port of net.ipv4.ip_local_port_range
 * first, those whose parity is that of the range's first port; for IPv6, too. When all of these are
 * in use between the same two addresses and the same port of the broker, it takes one of the
 * others; and each connect finds that out anew, by looking at all of the first half: 14,116 of the
 * usual 28,232 ports, for two milliseconds or more. So a port of the other parity means that the
 * first half is used up.
 *
 * From 6.8 on a socket with the option IP_LOCAL_PORT_RANGE, whatever its range is, searches all
 * ports alike from where the last search ended, and finds one at once until nearly all are in use.
 * 6.3 to 6.7 have the option, but search by halves. */
#ifndef POSTERN_BROKER_PORTS_H
#define POSTERN_BROKER_PORTS_H

/* The parity of the ports that are taken first: 0 or 1. It is that of a connection of this process
 * to itself over loopback, where nobody else's can be in the way; for /proc/sys is hidden from
 * Postern's own unit (ProcSubset=pid) and from some containers. Where there can be no such
 * connection it is 0, as the usual range begins with 32768. The range must not change later. */
unsigned ports_first_parity(void);

/* The socket's connect(2) searches the whole range. Nothing happens where the kernel cannot. */
void ports_search_all(int fd);

#endif
