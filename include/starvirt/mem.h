/* Memory: arenas for requests, growing buffers for output.
 * Running out of memory aborts the process: acceptance is durable, so a restart loses nothing, and no
 * half-built state can escape. Sizes that users control are bounded by limits.h before they get here. */
#ifndef STARVIRT_MEM_H
#define STARVIRT_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SV_CLEANUP(f) __attribute__((cleanup(f)))

void *sv_alloc(size_t size); /* zeroed */
void *sv_realloc(void *p, size_t size);
char *sv_strdup(const char *s); /* NULL gives NULL */
char *sv_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sv_freep(void *pp); /* for SV_CLEANUP on pointers from the above */
#define SV_AUTOFREE SV_CLEANUP(sv_freep)

/* Arena: bump allocation, freed as a whole. One thread at a time. Poisoned under AddressSanitizer. */
struct sv_arena;
struct sv_arena *sv_arena_new(void);
void *sv_arena_alloc(struct sv_arena *a, size_t size); /* zeroed, 16-byte aligned */
char *sv_arena_strdup(struct sv_arena *a, const char *s);
char *sv_arena_strndup(struct sv_arena *a, const char *s, size_t n);
char *sv_arena_printf(struct sv_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sv_arena_reset(struct sv_arena *a); /* keeps the first block */
void sv_arena_free(struct sv_arena *a);  /* NULL ok */
void sv_arena_freep(struct sv_arena **a);

/* Growing byte buffer; always NUL-terminated past n once anything was written. Zero-init is empty. */
struct sv_buf {
    char *p;
    size_t n, cap;
};
void sv_buf_reserve(struct sv_buf *b, size_t more);
void sv_buf_add(struct sv_buf *b, const void *p, size_t n);
void sv_buf_puts(struct sv_buf *b, const char *s);
void sv_buf_putc(struct sv_buf *b, char c);
void sv_buf_printf(struct sv_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sv_buf_free(struct sv_buf *b); /* leaves an empty buffer */
/* Takes the memory (free with free()); never NULL. */
char *sv_buf_steal(struct sv_buf *b);

/* Copies into a fixed array, cutting at a UTF-8 boundary; always terminated. */
void sv_copy(char *dst, size_t size, const char *src);
#define SV_COPY(dst, src) sv_copy((dst), sizeof(dst), (src))

/* Strict decimal: optional '-', digits only, whole string, no overflow. */
#include <stdbool.h>
bool sv_parse_int(const char *s, int64_t *ret);
bool sv_utf8_valid(const char *s, size_t n);

#endif
