/* A fuzz target is one function, called with bytes that nobody chose; it aborts where a promise of
 * the code under test does not hold. Always returns 0. */
#ifndef STARVIRT_TESTS_FUZZ_H
#define STARVIRT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Our reader and the tree parser behind it must agree. Other errors may repeat the input, these words too. */
#define NO_TREE_ERROR(e) ((e)->code != SV_E_BAD_JSON || strcmp((e)->arg[0], "refused by the tree parser") != 0)

#endif
