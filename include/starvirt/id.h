/* Ids: UUIDv7 text, so that order of id is order of creation. */
#ifndef STARVIRT_ID_H
#define STARVIRT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SV_ID_LEN 36
struct sv_id {
    char s[SV_ID_LEN + 1]; /* "" = none */
};

/* A new id; strictly rising within the process, also within one millisecond, unless the clock was set back by more
 * than a minute. Thread-safe. */
struct sv_id sv_id_new(void);
/* True for the 36-character lower-case form that sv_id_new makes (any UUID version). */
bool sv_id_valid(const char *s);
/* Copies `s` (NULL or "" or not an id: the empty id). */
struct sv_id sv_id_from(const char *s);

/* An id as people and clients write it, in either case -> the form that sv_id_new makes. False if it is none: braces,
 * "urn:uuid:" and digits without dashes are none. */
bool sv_id_read(const char *s, size_t n, struct sv_id *ret);

static inline bool sv_id_empty(const struct sv_id *id)
{
    return id->s[0] == '\0';
}
static inline bool sv_id_eq(const struct sv_id *a, const struct sv_id *b)
{
    return strcmp(a->s, b->s) == 0;
}

/* A list that grows. Zero-init is empty. */
struct sv_ids {
    struct sv_id *v;
    size_t n, cap;
};
void sv_ids_add(struct sv_ids *l, const struct sv_id *id);
void sv_ids_sort(struct sv_ids *l);
bool sv_ids_have(const struct sv_ids *l, const struct sv_id *id); /* of a sorted list */
void sv_ids_free(struct sv_ids *l);                               /* leaves an empty list */

/* Cryptographic random bytes (getrandom); aborts if the kernel has none. */
void sv_random(void *buf, size_t size);
/* Lower-case hex of `n` bytes into out[2n+1]. */
void sv_hex(const void *bytes, size_t n, char *out);

#endif
