/* Networks on a physical interface: what stands in each other's way, what is seen. */
#include "starvirt/store_network.h"
#include "store_fixture.h"

static struct sv_host_network net_on(const char *device, unsigned vlan)
{
    return (struct sv_host_network){.id = sv_id_new(), .device = device, .netns = "", .vlan = vlan, .ready = true};
}

static void count(void *arg, const struct sv_host_network *n)
{
    CHECK(n->ready);
    ++*(int *)arg;
}

static int seen(struct sv_tx *tx)
{
    uint64_t total = 0;
    int n = 0;
    WORKS(sv_host_network_list(tx, &all_rows, count, &n, &total, &why));
    CHECK_INT(n, (int)total);
    return n;
}

static enum sv_err use_networks(struct sv_tx *tx, void *arg, struct sv_error *err)
{
    struct sv_host_network got = {.vlan = 77};
    struct sv_host_network ten = net_on("eth1", 10), twenty = net_on("eth1", 20), flat = net_on("eth1", 0),
                           elsewhere = net_on("eth1", 0), other = net_on("eth2", 0);
    (void)arg;
    (void)err;
    elsewhere.netns = "blue";
    WORKS(sv_host_network_insert(tx, &ten, &why));
    WORKS(sv_host_network_insert(tx, &twenty, &why));
    WORKS(sv_host_network_insert(tx, &elsewhere, &why)); /* another eth1 */
    WORKS(sv_host_network_insert(tx, &other, &why));
    FAILS(sv_host_network_insert(tx, &flat, &why), SV_E_HOST_NETWORK_CLASH);
    CHECK_STR(why.arg[0], "eth1");
    CHECK_STR(why.arg[1], "vlan");
    struct sv_host_network twin = net_on("eth1", 10);
    FAILS(sv_host_network_insert(tx, &twin, &why), SV_E_HOST_NETWORK_EXISTS);
    CHECK_STR(why.arg[0], ten.id.s);
    twin = net_on("eth2", 5);
    FAILS(sv_host_network_insert(tx, &twin, &why), SV_E_HOST_NETWORK_CLASH);
    CHECK_STR(why.arg[1], "flat");
    twin = net_on("eth3", 10);
    twin.id = ten.id;
    FAILS(sv_host_network_insert(tx, &twin, &why), SV_E_HOST_NETWORK_EXISTS);

    CHECK_INT(seen(tx), 4);
    WORKS(sv_host_network_set_ready(tx, &twenty.id, false, &why));
    CHECK_INT(seen(tx), 3);
    WORKS(sv_host_network_get(tx, &twenty.id, sv_tx_arena(tx), &got, &why));
    CHECK(!got.ready && got.vlan == 20 && strcmp(got.device, "eth1") == 0);
    WORKS(sv_host_network_delete(tx, &twenty.id, &why));
    FAILS(sv_host_network_delete(tx, &twenty.id, &why), SV_E_HOST_NETWORK_NOT_FOUND);
    FAILS(sv_host_network_set_ready(tx, &twenty.id, true, &why), SV_E_HOST_NETWORK_NOT_FOUND);
    got.vlan = 77;
    FAILS(sv_host_network_get(tx, &twenty.id, sv_tx_arena(tx), &got, &why), SV_E_HOST_NETWORK_NOT_FOUND);
    CHECK_INT(got.vlan, 77);
    return SV_OK;
}

static void networks(void)
{
    world_new();
    writing(use_networks, NULL);
    world_remove();
}

CHECK_MAIN(T(networks))
