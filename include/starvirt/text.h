/* Writers and codecs that escape by construction: JSON, XML, Base64, digests, IPv4, MAC. */
#ifndef STARVIRT_TEXT_H
#define STARVIRT_TEXT_H

#include "starvirt/mem.h"

/* --- JSON, streaming. Commas are put by the writer; keys and strings are escaped; '/' is not. --- */
struct sv_json {
    struct sv_buf *out;
    unsigned depth;
    uint64_t filled; /* bit per depth: something was written at this level */
};
void sv_json_init(struct sv_json *j, struct sv_buf *out);
void sv_json_obj(struct sv_json *j, const char *key); /* key NULL: array element or top level */
void sv_json_arr(struct sv_json *j, const char *key);
void sv_json_end_obj(struct sv_json *j);
void sv_json_end_arr(struct sv_json *j);
void sv_json_str(struct sv_json *j, const char *key, const char *v); /* NULL prints "" */
void sv_json_strn(struct sv_json *j, const char *key, const char *v, size_t n);
void sv_json_int(struct sv_json *j, const char *key, int64_t v);    /* 5 */
void sv_json_intstr(struct sv_json *j, const char *key, int64_t v); /* "5" */
void sv_json_null(struct sv_json *j, const char *key);
void sv_json_raw(struct sv_json *j, const char *key, const char *json); /* a value that is JSON already */
void sv_json_bool(struct sv_json *j, const char *key, bool v);          /* true */
void sv_json_boolstr(struct sv_json *j, const char *key, bool v);       /* "true" */

/* --- XML, streaming, indented by two blanks. Characters XML 1.0 cannot carry become U+FFFD. --- */
struct sv_xml {
    struct sv_buf *out;
    const char *open[32];
    unsigned depth;
    bool in_tag, has_text;
};
void sv_xml_init(struct sv_xml *x, struct sv_buf *out);
void sv_xml_open(struct sv_xml *x, const char *name);
void sv_xml_attr(struct sv_xml *x, const char *name, const char *value);
void sv_xml_attr_int(struct sv_xml *x, const char *name, int64_t value);
void sv_xml_text(struct sv_xml *x, const char *text);
void sv_xml_close(struct sv_xml *x);
/* <name>text</name> and <name/> */
void sv_xml_leaf(struct sv_xml *x, const char *name, const char *text);
void sv_xml_empty(struct sv_xml *x, const char *name);

/* --- Base64 --- */
/* Encodes onto `out`: one line, padded. */
void sv_b64_encode(struct sv_buf *out, const void *data, size_t n);
/* Decodes `in` into out (room for n bytes is enough). Padding optional, CR/LF anywhere, URL-safe
 * alphabet, blank = '+'. On bad input returns false and the 1-based character in *ret_bad. */
bool sv_b64_decode(const char *in, size_t n, unsigned char *out, size_t *ret_n, size_t *ret_bad);

/* --- digests --- */
#define SV_SHA256_LEN 32
void sv_sha256(const void *data, size_t n, unsigned char out[SV_SHA256_LEN]);
/* True if equal; time does not depend on where they differ. */
bool sv_equal_const_time(const void *a, const void *b, size_t n);
/* Lower-case hex SHA-256 and MD5 of a file (either may be NULL); errno on -1. hex buffers hold 65 and 33. */
int sv_file_digest(const char *path, char *sha256_hex, char *md5_hex);
/* The same, asking now and then, with the bytes read so far; ECANCELED when the answer is no. NULL never asks. */
int sv_file_digest_while(const char *path, char *sha256_hex, char *md5_hex, bool (*go_on)(void *arg, int64_t done),
                         void *arg);

/* --- IPv4, host byte order --- */
bool sv_ip4_parse(const char *s, uint32_t *ret);
#define SV_IP4_LEN 16
void sv_ip4_format(uint32_t ip, char buf[SV_IP4_LEN]);

/* --- MAC addresses: "52:54:00:12:34:56". Six pairs parted by colons, nothing else; printed in lower case. --- */
bool sv_mac_parse(const char *s, unsigned char ret[6]);
#define SV_MAC_LEN 18
void sv_mac_format(const unsigned char mac[6], char buf[SV_MAC_LEN]);

#endif
