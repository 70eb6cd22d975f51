/* What an actor sees of models and templates. */
#include "core/image/image.h"

enum sv_err sv_model_search(struct sv_tx *tx, const struct sv_actor *who,
                            void (*row)(void *arg, const struct sv_model_type *t, const struct sv_model *m), void *arg,
                            struct sv_error *err)
{
    (void)who;
    return sv_model_list(tx, row, arg, err);
}

enum sv_err sv_template_search(struct sv_tx *tx, const struct sv_actor *who, const struct sv_template_filter *f,
                               const struct sv_page *p, void (*row)(void *arg, const struct sv_template *t), void *arg,
                               uint64_t *ret_total, struct sv_error *err)
{
    return sv_template_list(tx, sv_scope_of(who), f, p, row, arg, ret_total, err);
}
