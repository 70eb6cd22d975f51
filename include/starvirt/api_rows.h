/* Short forms for a dialect's rows. Included by dialects' own headers only: the names are short. */
#ifndef STARVIRT_API_ROWS_H
#define STARVIRT_API_ROWS_H

#include "starvirt/api.h"

/* One row: wire key, input struct, member, then designated members of struct sv_param. */
#define STR(key, st, m, ...)                                                                                           \
    {                                                                                                                  \
        .name = (key), .type = SV_T_STR, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                      \
    }
#define ID(key, st, m, ...)                                                                                            \
    {                                                                                                                  \
        .name = (key), .type = SV_T_ID, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                       \
    }
#define INT(key, st, m, ...)                                                                                           \
    {                                                                                                                  \
        .name = (key), .type = SV_T_INT, .offset = SV_OFF_INT(st, m), __VA_ARGS__                                      \
    }
#define BOOL(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_BOOL, .offset = SV_OFF_BOOL(st, m), __VA_ARGS__                                    \
    }
#define ENUM(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_ENUM, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                     \
    }
#define LIST(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_LIST, .offset = SV_OFF_LIST(st, m), __VA_ARGS__                                    \
    }
#define IP(key, st, m, ...)                                                                                            \
    {                                                                                                                  \
        .name = (key), .type = SV_T_IP, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                       \
    }
#define IPS(key, st, m, ...)                                                                                           \
    {                                                                                                                  \
        .name = (key), .type = SV_T_IPS, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                      \
    }
#define PORTS(key, st, m, ...)                                                                                         \
    {                                                                                                                  \
        .name = (key), .type = SV_T_PORTS, .offset = SV_OFF_STR(st, m), __VA_ARGS__                                    \
    }
#define TIME(key, st, m, ...)                                                                                          \
    {                                                                                                                  \
        .name = (key), .type = SV_T_TIME, .offset = SV_OFF_INT(st, m), __VA_ARGS__                                     \
    }
#define DOC(zh, en)    .doc_zh = (zh), .doc_en = (en)
#define ROUTE_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
