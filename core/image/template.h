/* What the jobs that make a template have in common (core/image/template.c). */
#ifndef CORE_TEMPLATE_H
#define CORE_TEMPLATE_H

#include "core/image/image.h"

/* The job's template: its object, or what its argument names where the object is the VM it comes from. */
struct sv_id sv_template_of_job(const struct sv_job *job);
/* Where the copy of a VM's disk lies until the template is made of it. Free with free(). */
char *sv_template_copy_path(const struct sv_cloud *c, const struct sv_id *id);
enum sv_err sv_template_read(struct sv_run *r, struct sv_template *ret, struct sv_error *err);
/* Through the image gate onto every host that is there; the row is READY afterwards, its file consumed. */
enum sv_err sv_step_template_import(struct sv_run *r, struct sv_error *err);
enum sv_err sv_step_template_drop(struct sv_run *r, struct sv_error *err);
/* FAILED where the job did not end well, and the event; the template's texts live in the transaction's arena. */
/* Of a kind that makes a template: it shows as failed, also while what it left is still to be undone. */
enum sv_err sv_template_left(struct sv_tx *tx, const struct sv_job *job, void *app, struct sv_error *err);
enum sv_err sv_template_end_making(struct sv_tx *tx, const struct sv_job *job, bool done, struct sv_template *ret,
                                   struct sv_error *err);

#endif
