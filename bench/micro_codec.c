/* The reply path's two codecs, over a real-looking list of 30 VMs: Base64 by libb64, by a bare table and
 * by the product's own writer; JSON by json-c and by the product's streaming writer.
 *
 *     micro_codec [ROUNDS]     one line each: median and best of 7 passes, in microseconds */
#include "bench/yard.h"
#include "starvirt/text.h"

#include <b64/cencode.h>
#include <json-c/json.h>

static long rounds;
static volatile size_t sink; /* keeps the work from being optimised away */

enum { PASSES = 7, ROWS = 30, FIELDS = 12 };
static const char *const keys[FIELDS] = {"vm.id",           "vm.name",     "vm.desc",          "vm.createtime",
                                         "vm.state",        "vm.vcpu.num", "vm.memory.mem",    "vm.tenant.type",
                                         "vm.tenant.model", "vm.ip",       "vm.reboot.enable", "vm.shutdown.enable"};
static const char *const values[FIELDS] = {"01890a5d-ac96-774b-bcce-b302099a8057",
                                           "web-frontend-0017",
                                           "",
                                           "2024-05-17 12:30:45",
                                           "1",
                                           "2",
                                           "4096",
                                           "general",
                                           "general.small",
                                           "10.128.17.23",
                                           "true",
                                           "true"};

static void own_json(struct sv_buf *out)
{
    struct sv_json j;

    out->n = 0;
    sv_json_init(&j, out);
    sv_json_obj(&j, NULL);
    sv_json_str(&j, "result", "0");
    sv_json_arr(&j, "data");
    for (int r = 0; r < ROWS; r++) {
        sv_json_obj(&j, NULL);
        for (int f = 0; f < FIELDS; f++)
            sv_json_str(&j, keys[f], values[f]);
        sv_json_end_obj(&j);
    }
    sv_json_end_arr(&j);
    sv_json_int(&j, "dataCount", 1000);
    sv_json_end_obj(&j);
}

static size_t dom_json(void)
{
    struct json_object *top = json_object_new_object(), *rows = json_object_new_array();
    size_t n;

    json_object_object_add(top, "result", json_object_new_string("0"));
    for (int r = 0; r < ROWS; r++) {
        struct json_object *row = json_object_new_object();
        for (int f = 0; f < FIELDS; f++)
            json_object_object_add_ex(row, keys[f], json_object_new_string(values[f]),
                                      JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT);
        json_object_array_add(rows, row);
    }
    json_object_object_add(top, "data", rows);
    json_object_object_add(top, "dataCount", json_object_new_int(1000));
    (void)json_object_to_json_string_length(top, JSON_C_TO_STRING_PLAIN, &n);
    json_object_put(top);
    return n;
}

static size_t libb64(const struct sv_buf *in, char *out)
{
    base64_encodestate s;

    base64_init_encodestate(&s);
    size_t n = (size_t)base64_encode_block(in->p, (int)in->n, out, &s);
    n += (size_t)base64_encode_blockend(out + n, &s);
    return n;
}

enum what { JSON_C, JSON_OWN, B64_LIB, B64_TABLE, B64_OWN };
static const char *const names[] = {[JSON_C] = "JSON, json-c",
                                    [JSON_OWN] = "JSON, sv_json",
                                    [B64_LIB] = "Base64, libb64",
                                    [B64_TABLE] = "Base64, bare table",
                                    [B64_OWN] = "Base64, sv_b64_encode"};

static void once(enum what what, const struct sv_buf *json, struct sv_buf *out)
{
    static struct sv_buf scratch;

    switch (what) {
    case JSON_C:
        sink += dom_json();
        break;
    case JSON_OWN:
        own_json(&scratch);
        sink += scratch.n;
        break;
    case B64_LIB:
        sink += libb64(json, out->p);
        break;
    case B64_TABLE:
        sink += yard_b64_encode(json->p, json->n, out->p);
        break;
    case B64_OWN:
        out->n = 0;
        sv_b64_encode(out, json->p, json->n);
        sink += out->n;
        break;
    }
}

int main(int argc, char **argv)
{
    struct sv_buf json = {0}, out = {0};
    double us[PASSES];

    rounds = argc > 1 ? yard_arg(argv[1], 1, 1000000) : 3000;
    yard_b64_init();
    own_json(&json);
    sv_buf_reserve(&out, 2 * json.n);
    printf("reply of %zu bytes\n", json.n);
    for (enum what w = JSON_C; w <= B64_OWN; w++) {
        for (int p = 0; p < PASSES; p++) {
            const double t = yard_now();
            for (long i = 0; i < rounds; i++)
                once(w, &json, &out);
            us[p] = (yard_now() - t) / (double)rounds * 1e6;
        }
        qsort(us, PASSES, sizeof(*us), yard_cmp);
        printf("%-24s %7.2f us (best %.2f)\n", names[w], us[PASSES / 2], us[0]);
    }
    sv_buf_free(&json);
    sv_buf_free(&out);
    return 0;
}
