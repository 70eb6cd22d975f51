/* Models and templates. */
#ifndef CORE_IMAGE_H
#define CORE_IMAGE_H

#include "core/run/run.h"

/* Removes uploads that no import waits for: a crash left them between their arrival and their acceptance. Those that
 * are waited for are looked for where the data directory is this time. */
enum sv_err sv_template_recover(struct sv_cloud *c, struct sv_error *err);

extern const struct sv_job_kind sv_kind_template_import, sv_kind_template_create, sv_kind_template_delete,
    sv_kind_template_discard;

#endif
