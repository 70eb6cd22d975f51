/* Nothing that is damaged comes in: all of it is there, and its own tool finds no fault in it. */
#include "hv/image.h"

enum sv_err image_go_on(const struct sv_deadline *d, struct sv_error *err)
{
    if (sv_deadline_cancelled(d))
        return sv_fail(err, SV_E_JOB_CANCELLED, SV_F_NONE);
    return sv_deadline_over(d) ? sv_fail(err, SV_E_JOB_DEADLINE, SV_F_NONE, "the image") : SV_OK;
}

enum sv_err image_whole(const struct image_file *f, const char *format, const struct sv_deadline *d,
                        struct sv_error *err)
{
    if (strcmp(format, "qcow2") == 0)
        return image_whole_qcow2(f, d, err);
    if (strcmp(format, "vmdk") == 0)
        return image_whole_vmdk(f, d, err);
    return image_whole_raw(f, err);
}

/* The tool has nothing to say of raw bytes. */
enum sv_err image_sound(const struct image_file *f, const char *format, const struct sv_deadline *d,
                        struct sv_error *err)
{
    SV_AUTOFREE char *name = image_tool_name(f);
    enum sv_err rc = image_whole(f, format, d, err);
    return rc || strcmp(format, "raw") == 0 ? rc : image_tool_check(name, format, d, err);
}

typedef enum sv_err (*look_fn)(const struct image_file *f, const char *format, const struct sv_deadline *d,
                               struct sv_error *err);

static enum sv_err look_at(const char *path, const char *format, look_fn look, struct sv_image *ret,
                           const struct sv_deadline *d, struct sv_error *err)
{
    struct image_file f = {.fd = -1};
    struct sv_image image;
    enum sv_err rc = image_open(path, &f, err);
    if (rc)
        return rc;
    rc = image_inspect(&f, format, &image, err);
    if (!rc)
        rc = look(&f, image.format, d, err);
    image_close(&f);
    if (!rc)
        *ret = image;
    return rc;
}

enum sv_err sv_image_whole(const char *path, const char *format, struct sv_image *ret, const struct sv_deadline *d,
                           struct sv_error *err)
{
    return look_at(path, format, image_whole, ret, d, err);
}

enum sv_err sv_image_sound(const char *path, const char *format, struct sv_image *ret, const struct sv_deadline *d,
                           struct sv_error *err)
{
    return look_at(path, format, image_sound, ret, d, err);
}
