/* What the jobs that make a template have in common (core/template.c). */
#ifndef CORE_TEMPLATE_H
#define CORE_TEMPLATE_H

#include "core/internal.h"

/* The job's template: its object, or what its argument names where the object is the VM it comes from. */
struct sv_id sv_template_of_job(const struct sv_job *job);
enum sv_err sv_template_read(struct sv_run *r, struct sv_template *ret, struct sv_error *err);
/* Through the image gate onto every host that is there; the row is READY afterwards, its file consumed. */
enum sv_err sv_step_template_import(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_template_drop(struct sv_run *r, struct sv_error *err);
/* FAILED where the job did not end well, and no file left. */
enum sv_err sv_template_end_import(struct sv_tx *tx, const struct sv_job *job, enum sv_job_result result, void *app,
                                   struct sv_error *err);

#endif
