#include <stdio.h>
#include <stdlib.h>

#include "starvirt/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
/* Poisoned bytes between allocations, so that an overrun inside a block is seen. */
#define RED_ZONE 16
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define RED_ZONE                          0
#endif

#define ALIGNMENT 16
/* A request with a page of replies fits into the first block. */
#define BLOCK_SIZE (16 * 1024)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(ALIGNMENT) char data[];
};

struct sv_arena {
    struct block *blocks; /* the head is the one in use */
    struct block *first;  /* survives a reset */
};

static struct block *block_new(size_t size, struct block *next)
{
    struct block *b = sv_realloc(NULL, sizeof(*b) + size);
    b->next = next;
    b->size = size;
    b->used = 0;
    ASAN_POISON_MEMORY_REGION(b->data, size);
    return b;
}

static void block_free(struct block *b)
{
    ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
    free(b);
}

struct sv_arena *sv_arena_new(void)
{
    struct sv_arena *a = sv_alloc(sizeof(*a));
    a->blocks = a->first = block_new(BLOCK_SIZE, NULL);
    return a;
}

/* A large allocation gets a block of its own behind the one in use, whose rest stays usable. */
static void *alloc_large(struct sv_arena *a, size_t size)
{
    struct block *b = block_new(size, a->blocks->next);
    a->blocks->next = b;
    b->used = size;
    return b->data;
}

void *sv_arena_alloc(struct sv_arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        abort();
    size_t need = ((size ? size : 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + RED_ZONE;
    void *p;
    if (a->blocks->size - a->blocks->used >= need) {
        p = a->blocks->data + a->blocks->used;
        a->blocks->used += need;
    } else if (need > BLOCK_SIZE / 4) {
        p = alloc_large(a, need);
    } else {
        a->blocks = block_new(BLOCK_SIZE, a->blocks);
        p = a->blocks->data;
        a->blocks->used = need;
    }
    ASAN_UNPOISON_MEMORY_REGION(p, size ? size : 1);
    return memset(p, 0, size);
}

void *sv_arena_grow(struct sv_arena *a, void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? *cap * 2 : 16;
    void *more = sv_arena_alloc(a, *cap * size);
    return n ? memcpy(more, p, n * size) : more;
}

char *sv_arena_strndup(struct sv_arena *a, const char *s, size_t n)
{
    char *p = sv_arena_alloc(a, n + 1);
    if (n > 0)
        memcpy(p, s, n);
    return p;
}

char *sv_arena_strdup(struct sv_arena *a, const char *s)
{
    return s ? sv_arena_strndup(a, s, strlen(s)) : NULL;
}

char *sv_arena_printf(struct sv_arena *a, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    if ((size_t)n < sizeof(small))
        return sv_arena_strndup(a, small, (size_t)n);
    char *p = sv_arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void sv_arena_reset(struct sv_arena *a)
{
    struct block *first = a->first;
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        if (b != first)
            block_free(b);
    }
    first->next = NULL;
    first->used = 0;
    ASAN_POISON_MEMORY_REGION(first->data, first->size);
    a->blocks = first;
}

void sv_arena_free(struct sv_arena *a)
{
    if (!a)
        return;
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        block_free(b);
    }
    free(a);
}

void sv_arena_freep(struct sv_arena **a)
{
    sv_arena_free(*a);
    *a = NULL;
}
