/* The certificate and the key that HTTPS is served with. */
#ifndef STARVIRT_SERVER_TLS_H
#define STARVIRT_SERVER_TLS_H

#include "starvirt/error.h"

struct sv_tls {
    char *cert, *key; /* PEM; NULL = plain HTTP */
    int64_t ends;     /* [ms UTC] of the certificate */
};
/* Reads both files and looks whether HTTPS can be served with them: CONFIG names the option, the file and what is wrong
 * with it. A certificate that is out of date, or soon will be, is only logged: clients that mind refuse it themselves.
 */
enum sv_err sv_tls_load(const char *cert, const char *key, struct sv_tls *ret, struct sv_error *err);
void sv_tls_free(struct sv_tls *tls);

#endif
