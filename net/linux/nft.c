/* nftables through its own library. A context speaks to the namespace of the thread that made it. What contexts share
 * in the library (the names of interfaces, of protocols) has no lock of its own: one of ours stands before all of it.
 */
#include "net/linux/internal.h"

#include <nftables/libnftables.h>
#include <pthread.h>

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

struct run {
    const char *text;
    struct sv_buf *out; /* NULL: nobody asks */
    char *why;          /* nft's own first line; NULL = it went well */
};

/* "<cmdline>:1:5-9: Error: syntax error": what stands before the last mark is of no use to anybody. */
static char *first_line(const char *said)
{
    static const char mark[] = "Error: ";
    const char *at = strstr(said, mark);
    if (at)
        said = at + strlen(mark);
    return sv_asprintf("nft: %.*s", (int)strcspn(said, "\n"), said[0] ? said : "no reason given");
}

static void run_here(void *arg)
{
    struct run *r = arg;
    pthread_mutex_lock(&library);
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!nft || nft_ctx_buffer_error(nft) != 0 || nft_ctx_buffer_output(nft) != 0)
        r->why = sv_strdup("nft: no context");
    else if (nft_run_cmd_from_buffer(nft, r->text) != 0)
        r->why = first_line(nft_ctx_get_error_buffer(nft));
    else if (r->out)
        sv_buf_puts(r->out, nft_ctx_get_output_buffer(nft));
    if (nft)
        nft_ctx_free(nft);
    pthread_mutex_unlock(&library);
}

static enum sv_err run(int netns_fd, struct run *r, struct sv_error *err)
{
    enum sv_err rc = SV_OK;
    if (netns_fd >= 0)
        rc = netns_call(netns_fd, run_here, r, err);
    else
        run_here(r);
    if (!rc && r->why)
        rc = sv_fail(err, SV_E_NETWORK, SV_F_NONE, r->why);
    sv_freep(&r->why);
    return rc;
}

enum sv_err nft_run(int netns_fd, const char *text, size_t n, struct sv_error *err)
{
    /* The library takes a text to its NUL: none inside, or only half of it would be in force. */
    if (strlen(text) != n)
        return sv_fail(err, SV_E_INTERNAL, SV_F_NONE, "not a text for nft");
    struct run r = {.text = text};
    return run(netns_fd, &r, err);
}

enum sv_err nft_look(int netns_fd, const char *command, struct sv_buf *ret, struct sv_error *err)
{
    struct run r = {.text = command, .out = ret};
    return run(netns_fd, &r, err);
}
