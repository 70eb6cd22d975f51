/* Certificates that a server shows and the key it proves them with: read, held against each other, put into one text.
 * Both come as PEM: the chain with the server's own certificate first, then who signed it, and so on; the key without a
 * passphrase. Nothing of the given texts is handed on: what comes out is written anew from what was understood. */
#ifndef STARVIRT_CERTIFICATE_H
#define STARVIRT_CERTIFICATE_H

#include "starvirt/error.h"

enum {
    SV_CERTIFICATE_CHAIN_MAX = 8, /* certificates of a chain that sv_certificate_check() takes */
    SV_CERTIFICATE_SHA1 = 20,
};

struct sv_certificate {
    unsigned count;
    int64_t from_ms, to_ms;                  /* [ms UTC] all of the chain is valid from here to there */
    unsigned char sha1[SV_CERTIFICATE_SHA1]; /* of the server's own, as HAProxy shows it */
    char *pem;                               /* the chain, then the key: secret, no empty line */
};

/* What is wrong, for whoever names the two texts. */
struct sv_certificate_fault {
    bool of_key;
    char why[SV_ERR_ARG_MAX]; /* "has no certificate in PEM form": English, with a row in base/phrases.def */
};
/* Reads both; false with what is wrong. Neither dates nor the order of the chain are judged. */
bool sv_certificate_read(const char *chain, const char *key, struct sv_certificate *ret,
                         struct sv_certificate_fault *ret_fault);
/* For one that a client gave under these two fields: also valid now, in order, and not too long. CERTIFICATE,
 * CERTIFICATE_EXPIRED. */
enum sv_err sv_certificate_check(const char *chain, enum sv_field chain_field, const char *key, enum sv_field key_field,
                                 struct sv_certificate *ret, struct sv_error *err);
/* Overwrites the secret. Zeroed is free already. */
void sv_certificate_free(struct sv_certificate *c);

#endif
