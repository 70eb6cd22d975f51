/* Ids: UUIDv7 text, so that order of id is order of creation. */
#ifndef STARVIRT_ID_H
#define STARVIRT_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SV_ID_LEN 36
struct sv_id {
    char s[SV_ID_LEN + 1]; /* "" = none */
};

/* A new id; strictly rising within the process, also within one millisecond. Thread-safe. */
struct sv_id sv_id_new(void);
/* True for the 36-character lower-case form that sv_id_new makes (any UUID version). */
bool sv_id_valid(const char *s);
/* Copies `s` (NULL or "" or not an id: the empty id). */
struct sv_id sv_id_from(const char *s);

static inline bool sv_id_empty(const struct sv_id *id)
{
    return id->s[0] == '\0';
}
static inline bool sv_id_eq(const struct sv_id *a, const struct sv_id *b)
{
    return strcmp(a->s, b->s) == 0;
}

/* Cryptographic random bytes (getrandom); aborts if the kernel has none. */
void sv_random(void *buf, size_t size);
/* Lower-case hex of `n` bytes into out[2n+1]. */
void sv_hex(const void *bytes, size_t n, char *out);

#endif
