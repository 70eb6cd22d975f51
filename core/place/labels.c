/* Labels: "key=value", by comma. */
#include "core/place/place.h"

enum { MAX_LABELS = 32, MAX_PART = 63 };

#define LABELS "key=value,..."
#define PART   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_label(const char *text)
{
    const size_t key = strspn(text, PART), value = text[key] == '=' ? strspn(text + key + 1, PART) : 0;

    return key > 0 && key <= MAX_PART && value > 0 && value <= MAX_PART && text[key + 1 + value] == '\0';
}

enum sv_err sv_labels_read(const char *text, enum sv_field field, struct sv_arena *a, const char **ret,
                           struct sv_error *err)
{
    struct sv_buf out SV_CLEANUP(sv_buf_free) = {0};
    const char *labels[MAX_LABELS];
    size_t n = 0;

    for (const char *p = text; *p;) {
        const size_t len = strcspn(p, ",");

        if (n == MAX_LABELS)
            return sv_fail(err, SV_E_PARAM_RANGE, field, "at most 32 in a list");
        labels[n] = sv_arena_strndup(a, p, len);
        if (!is_label(labels[n++]) || (p[len] && !p[len + 1]))
            return sv_fail(err, SV_E_PARAM_FORMAT, field, LABELS);
        p += len + (p[len] == ',');
    }
    qsort(labels, n, sizeof(*labels), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(labels[i], labels[i - 1]) != 0)
            sv_buf_printf(&out, "%s%s", out.n ? "," : "", labels[i]);
    }
    *ret = out.n ? sv_arena_strndup(a, out.p, out.n) : "";
    return SV_OK;
}
