/* qemu-img, under limits: a hostile image costs at most this much (threat 5). */
#include "hv/image.h"

#include "starvirt/log.h"
#include "starvirt/proc.h"

#include <unistd.h>

#define TOOL_MEMORY (2LL << 30)              /* [bytes] address space: QEMU's thread pool alone reserves half a GiB */
enum { CHECK_DAMAGED = 2, CHECK_LEAKS = 3 }; /* exit codes of qemu-img check; leaks waste room, and no more */

char *image_tool_name(const struct image_file *f)
{
    return sv_asprintf("/proc/%d/fd/%d", (int)getpid(), f->fd);
}

static enum sv_err tool_failed(const char *what, int status, const struct sv_buf *text, struct sv_error *err)
{
    sv_log(SV_LOG_WARN, "image.tool_failed", "step", what, "status", sv_dec(status).s, "text", text->n ? text->p : "",
           NULL);
    if (text->n && strstr(text->p, "No space left on device"))
        return sv_fail(err, SV_E_STORAGE_FULL, SV_F_NONE);
    if (status > 128 || (text->n && strstr(text->p, "File too large")))
        return image_refuse(err, "reading it took more processor time, memory or room than allowed");
    return image_refuse(err, "it could not be read as what its header says");
}

enum sv_err image_tool(const char *what, const char *const *argv, struct sv_proc *p, struct sv_error *err)
{
    struct sv_buf text = {0};
    int status = -1;
    p->argv = argv;
    p->err = &text;
    p->memory_bytes = TOOL_MEMORY;
    enum sv_err rc = sv_proc_run(p, &status, err);
    if (!rc && status != 0)
        rc = tool_failed(what, status, &text, err);
    sv_buf_free(&text);
    return rc;
}

enum sv_err image_tool_measure(const char *src, const char *format, int64_t *ret, const struct sv_deadline *d,
                               struct sv_error *err)
{
    struct sv_buf out = {0};
    const char *const argv[] = {"qemu-img", "measure", "-U", "--output=json", "-f", format, "-O", "qcow2", src, NULL};
    struct sv_proc p = {.out = &out, .cpu_s = IMAGE_LOOK_CPU, .deadline = d};
    enum sv_err rc = image_tool("measure", argv, &p, err);
    static const char key[] = "\"required\": ";
    const char *at = !rc && out.n ? strstr(out.p, key) : NULL;
    char digits[24] = "";
    if (at)
        SV_COPY(digits, at + sizeof(key) - 1);
    digits[strspn(digits, "0123456789")] = '\0';
    if (!rc && !sv_parse_int(digits, ret))
        rc = image_refuse(err, "its size on disk cannot be told");
    sv_buf_free(&out);
    return rc;
}

enum sv_err image_tool_check(const char *src, const char *format, const struct sv_deadline *d, struct sv_error *err)
{
    struct sv_buf text = {0};
    int status = -1;
    const char *const argv[] = {"qemu-img", "check", "-q", "-U", "-f", format, "--", src, NULL};
    const struct sv_proc p = {
        .argv = argv, .err = &text, .cpu_s = IMAGE_LOOK_CPU, .memory_bytes = TOOL_MEMORY, .deadline = d};
    enum sv_err rc = sv_proc_run(&p, &status, err);
    if (!rc && status == CHECK_DAMAGED)
        rc = image_refuse(err, "it is damaged: qemu-img check finds errors in it");
    else if (!rc && status != 0 && status != CHECK_LEAKS)
        rc = tool_failed("check", status, &text, err);
    sv_buf_free(&text);
    return rc;
}
