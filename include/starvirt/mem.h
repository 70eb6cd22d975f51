/* Memory: arenas for requests, growing buffers for output.
 * Running out of memory aborts the process: acceptance is durable, so a restart loses nothing, and no
 * half-built state can escape. Sizes that users control are bounded by limits.h before they get here. */
#ifndef STARVIRT_MEM_H
#define STARVIRT_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SV_CLEANUP(f) __attribute__((cleanup(f)))

void *sv_alloc(size_t size); /* zeroed */
void *sv_realloc(void *p, size_t size);
/* Room for one element of `size` bytes more in an array that holds n and has room for *cap: `p`, or where it is now. */
void *sv_grow(void *p, size_t n, size_t *cap, size_t size);
char *sv_strdup(const char *s); /* NULL gives NULL */
char *sv_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sv_freep(void *pp); /* for SV_CLEANUP on pointers from the above */
#define SV_AUTOFREE SV_CLEANUP(sv_freep)

/* Arena: bump allocation, freed as a whole. One thread at a time. Poisoned under AddressSanitizer. */
struct sv_arena;
struct sv_arena *sv_arena_new(void);
void *sv_arena_alloc(struct sv_arena *a, size_t size); /* zeroed, 16-byte aligned */
/* As sv_grow(), in the arena, which gives nothing back: a list costs at most twice its size more. */
void *sv_arena_grow(struct sv_arena *a, void *p, size_t n, size_t *cap, size_t size);
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
bool sv_parse_int(const char *s, int64_t *ret);
/* FNV-1a, for tables in memory; begin with SV_HASH_BEGIN, or go on with what came before. Never stored or sent. */
#define SV_HASH_BEGIN 2166136261U
static inline uint32_t sv_hash_on(uint32_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619U;
    return h;
}
static inline uint32_t sv_hash(const char *text)
{
    return sv_hash_on(SV_HASH_BEGIN, text, strlen(text));
}
/* Letters to change, put in, leave out or swap on the way from one to the other; 99 for texts longer than 63. */
unsigned sv_edit_distance(const char *a, const char *b);
bool sv_utf8_valid(const char *s, size_t n);
/* How many bytes from the beginning are UTF-8; `n` if all are. */
size_t sv_utf8_span(const char *s, size_t n);
/* The character at p, which is UTF-8, and how many bytes it has. */
uint32_t sv_utf8_char(const char *p, size_t *ret_n);
/* Is it one that nobody sees, or that turns the text around it: controls, marks of direction, separators of lines? */
bool sv_utf8_hidden(uint32_t c);
/* UTF-8 text of clients for people: at most `max` characters, then "…"; hidden ones as \u000a. */
void sv_show(char *dst, size_t size, const char *src, size_t n, unsigned max);
/* What may be no UTF-8, for a message on the terminal: bytes that are none, and controls, as "\xff". */
void sv_utf8_show(struct sv_buf *out, const char *text);

#endif
