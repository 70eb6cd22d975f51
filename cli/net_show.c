#include "cli/net.h"

#include <stdlib.h>

/* What is asked and how it is drawn, in the order in which each finds what it hangs on.
 *
 * A label is text with values in braces: {key} is the row's, {key>other} that of the row whose id stands under `key`.
 * What is in square brackets is left out when a value in it is empty. */
struct layer {
    const char *kind;
    const char *path; /* POST */
    const char *id;   /* key of its id */
    const char *on;   /* key of the id of what it hangs on; what is not known hangs on the top */
    const char *each; /* kind: asked once for each of these, its id under `ask` */
    const char *ask;
    const char *label;    /* NULL: not drawn */
    const char *inner_vm; /* keys of the VM and of the address of the NIC that it serves */
    const char *inner_ip;
    const char *tag; /* the row is of an item that is there already: this value of `each`'s row goes behind its label */
};
static const struct layer layers[] = {
    {.kind = "router",
     .path = "vroute/search",
     .id = "vroute.id",
     .label = "{vroute.name}[ {vroute.register.address}] {vroute.online}"},
    {.kind = "VPC",
     .path = "cloudnetwork/vpc/search",
     .id = "vpc.id",
     .on = "vpc.vroute.id",
     .label = "{vpc.name} {vpc.cidr} gateway {vpc.gateway}, boundary {vpc.netgate}"},
    {.kind = "VM", .path = "cloudvm/search", .id = "vm.id"},
    {.kind = "NIC",
     .path = "cloudvm/vnic/search",
     .id = "vnic.id",
     .on = "vnic.vpc.id",
     .each = "VM",
     .ask = "vnic.vmid",
     .label = "{vnic.ipaddress} {vnic.macaddress} of VM {vnic.vmid>vm.name} {vnic.vmid>vm.state}"},
    {.kind = "group", .path = "cloudsegroup/search", .id = "securitygroup.id"},
    {.kind = "member",
     .path = "cloudsegroup/vnic/search",
     .id = "vnic.id",
     .each = "group",
     .ask = "securitygroup.id",
     .tag = "securitygroup.name"},
    {.kind = "mapping",
     .path = "vroute/Mapping/search",
     .id = "nat_id",
     .on = "nat_vrouteid",
     .label = "{nat_protocal} {nat_outerip}[:{nat_outerport}] -> {nat_innerip}[:{nat_innerport}][ of VM {net_vmname}]"
              "[ from {nat_srcip}]",
     .inner_vm = "net_vmid",
     .inner_ip = "nat_innerip"},
    {.kind = "balancer",
     .path = "cloudslb/search",
     .id = "slb.id",
     .on = "slb.vmid",
     .label = "{slb.name} {slb.protocal.type} {slb.directip}:{slb.directport} {slb.policy.type} {slb.enable}"},
    {.kind = "node",
     .path = "cloudslb/realnode/search",
     .id = "realnode.id",
     .on = "realnode.slbid",
     .label = "{realnode.name} {realnode.ip}:{realnode.port} weight {realnode.weight} {realnode.state}",
     .inner_vm = "realnode.vmid",
     .inner_ip = "realnode.ip"},
    {.kind = "not in force:",
     .path = "cloudsegroup/retryrule/search",
     .id = "issue.id",
     .label = "rule {aclrule.id}[ of VM {vm.id>vm.name}], tried {retry.num} times"},
};
enum { LAYERS = sizeof(layers) / sizeof(layers[0]) };

/* What "true" and "false" mean for these; codes have their words in the route's parameters. */
static const struct {
    const char *key, *yes, *no;
} switches[] = {
    {"vroute.online", "online", "offline"},
    {"slb.enable", "on", "off"},
};

struct item {
    struct sv_net_item pub;
    const struct layer *layer;
    const struct sv_route *route;
    const struct sv_node *row;
    const char *tags; /* names of groups; NULL = none */
    struct item *last;
    const struct item *on;
};
struct picture {
    struct sv_settings *s;
    const struct sv_api *api;
    struct item **v; /* in order of ids up to `sorted` */
    size_t n, cap, sorted;
    struct item top;
};

/* --- finding ----------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct item *const *x = a, *const *y = b;

    return strcmp((*x)->pub.id, (*y)->pub.id);
}

static struct item *find(const struct picture *p, const char *id)
{
    const struct item key = {.pub = {.id = id}}, *at = &key;
    struct item **found = p->sorted ? bsearch(&at, p->v, p->sorted, sizeof(*p->v), by_id) : NULL;

    return found ? *found : NULL;
}

static const struct item *nic_of(const struct picture *p, const char *vm, const char *ip)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct sv_node *row = p->v[i]->row;

        if (strcmp(sv_node_text(row, "vnic.vmid"), vm) == 0 && strcmp(sv_node_text(row, "vnic.ipaddress"), ip) == 0)
            return p->v[i];
    }
    return NULL;
}

/* --- labels ------------------------------------------------------------------------------------------------ */

static const char *word_of(const struct sv_route *r, const char *key, const char *value)
{
    int64_t code;

    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
        if (strcmp(switches[i].key, key) == 0)
            return strcmp(value, "true") == 0 ? switches[i].yes : switches[i].no;
    for (size_t i = 0; i < r->param_count; i++) {
        const struct sv_code *c = strcmp(r->params[i].name, key) == 0 ? r->params[i].codes : NULL;

        for (; c && c->en && sv_parse_int(value, &code); c++)
            if (c->v == code)
                return c->en;
    }
    return value;
}

/* `name`: "key" or "key>other". */
static const char *value_of(const struct picture *p, const struct item *it, const char *name)
{
    const char *far = strchr(name, '>');

    if (!far)
        return word_of(it->route, name, sv_node_text(it->row, name));
    const char *key = sv_arena_strndup(p->s->arena, name, (size_t)(far - name));
    const struct item *other = find(p, sv_node_text(it->row, key));

    return other ? word_of(other->route, far + 1, sv_node_text(other->row, far + 1)) : "";
}

static const char *label_of(const struct picture *p, const struct item *it)
{
    SV_CLEANUP(sv_buf_free) struct sv_buf out = {0};
    size_t open = 0;
    bool empty = false; /* something in these brackets is */

    for (const char *f = it->layer->label; *f; f++) {
        if (*f == '[') {
            open = out.n;
            empty = false;
        } else if (*f == ']') {
            if (empty)
                out.n = open;
        } else if (*f == '{') {
            const size_t n = strcspn(f + 1, "}");
            const char *value = value_of(p, it, sv_arena_strndup(p->s->arena, f + 1, n));

            empty = empty || !*value;
            sv_buf_puts(&out, value);
            f += n + 1;
        } else {
            sv_buf_putc(&out, *f);
        }
    }
    return sv_arena_strndup(p->s->arena, out.p ? out.p : "", out.n);
}

/* --- asking ------------------------------------------------------------------------------------------------ */

static void add_item(struct picture *p, const struct layer *l, const struct sv_route *r, const struct sv_node *row)
{
    struct item *it = sv_arena_alloc(p->s->arena, sizeof(*it));

    *it = (struct item){.pub = {.kind = l->kind, .id = sv_node_text(row, l->id)}, .layer = l, .route = r, .row = row};
    it->on = l->on ? find(p, sv_node_text(row, l->on)) : NULL;
    p->v = sv_arena_grow(p->s->arena, p->v, p->n, &p->cap, sizeof(struct item *));
    p->v[p->n++] = it;
}

static void add_tag(const struct picture *p, struct item *it, const char *tag)
{
    if (it)
        it->tags = it->tags ? sv_arena_printf(p->s->arena, "%s, %s", it->tags, tag) : tag;
}

/* What went since its list was read is left out. False: said why. */
static bool ask(struct picture *p, const struct layer *l, const struct item *of)
{
    struct sv_target t;
    struct sv_answer a;

    if (!sv_target_find(p->api, "POST", l->path, p->s->arena, &t))
        return false;
    if (of)
        sv_target_set(&t, l->ask, of->pub.id, p->s->arena);
    if (!sv_client_call(p->s, &t, false, &a))
        return false;
    if (!a.root || !a.ok) {
        if (of && a.status == 404)
            return true;
        sv_show_failure(&a);
        return false;
    }
    const struct sv_node *data = sv_node_get(a.root, "data");
    for (const struct sv_node *row = data ? data->child : NULL; row; row = row->next) {
        if (l->tag && of)
            add_tag(p, find(p, sv_node_text(row, l->id)), sv_node_text(of->row, l->tag));
        else if (!l->tag)
            add_item(p, l, t.route, row);
    }
    return true;
}

static bool ask_layer(struct picture *p, const struct layer *l)
{
    const size_t n = p->n; /* those that it adds are not asked for */
    bool ok = true;

    if (!l->each)
        ok = ask(p, l, NULL);
    for (size_t i = 0; l->each && ok && i < n; i++)
        if (strcmp(p->v[i]->layer->kind, l->each) == 0)
            ok = ask(p, l, p->v[i]);
    if (p->n)
        qsort(p->v, p->n, sizeof(*p->v), by_id);
    p->sorted = p->n;
    return ok;
}

/* --- hanging ----------------------------------------------------------------------------------------------- */

static void hang(struct picture *p, struct item *it)
{
    struct item *on = it->on ? find(p, it->on->pub.id) : &p->top;

    it->pub.label = label_of(p, it);
    if (it->tags)
        it->pub.label = sv_arena_printf(p->s->arena, "%s in %s", it->pub.label, it->tags);
    if (it->layer->inner_vm) {
        const struct item *nic =
            nic_of(p, sv_node_text(it->row, it->layer->inner_vm), sv_node_text(it->row, it->layer->inner_ip));
        it->pub.serves = nic ? &nic->pub : NULL;
    }
    if (on->last)
        on->last->pub.next = &it->pub;
    else
        on->pub.child = &it->pub;
    on->last = it;
}

static void hang_all(struct picture *p)
{
    for (const struct layer *l = layers; l < layers + LAYERS; l++)
        for (size_t i = 0; l->label && i < p->n; i++)
            if (p->v[i]->layer == l)
                hang(p, p->v[i]);
}

int sv_run_net_show(struct sv_settings *s, const struct sv_api *api, const char **words, size_t n)
{
    struct picture p = {.s = s, .api = api};

    (void)words;
    (void)n;
    for (const struct layer *l = layers; l < layers + LAYERS; l++)
        if (!ask_layer(&p, l))
            return SV_EXIT_FAILED;
    hang_all(&p);
    if (s->dot)
        sv_net_print_dot(&p.top.pub);
    else if (s->json)
        sv_net_print_json(&p.top.pub);
    else
        sv_net_print_tree(&p.top.pub);
    return SV_EXIT_OK;
}
