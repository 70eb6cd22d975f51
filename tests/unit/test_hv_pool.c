/* What libvirt is told of a Ceph pool. */
#include "hv/libvirt/internal.h"

#include "tests/unit/check.h"

#include <stdlib.h>

static struct sv_hv_pool pool(const char *monitors)
{
    struct sv_hv_pool p = {.id = {"01890a5d-ac96-774b-bcce-000000000001"},
                           .kind = SV_HV_POOL_RBD,
                           .rbd_pool = "volumes",
                           .rbd_user = "starvirt",
                           .rbd_key = "c2VjcmV0"};
    SV_COPY(p.monitors, monitors);
    return p;
}

static void has(const char *xml, const char *part)
{
    if (!strstr(xml, part))
        check_failed(__FILE__, __LINE__, "no %s in\n%s", part, xml);
}

static void monitors_are_hosts_with_or_without_a_port(void)
{
    const struct sv_hv_pool p = pool("10.0.0.1,mon.example:6789,[2001:db8::1]:3300,[2001:db8::2]");
    SV_AUTOFREE char *xml = lv_rbd_xml(&p);
    has(xml, "<pool type=\"rbd\">");
    has(xml, "<uuid>01890a5d-ac96-774b-bcce-000000000001</uuid>");
    has(xml, "<name>volumes</name>");
    has(xml, "<host name=\"10.0.0.1\"/>");
    has(xml, "<host name=\"mon.example\" port=\"6789\"/>");
    has(xml, "<host name=\"2001:db8::1\" port=\"3300\"/>");
    has(xml, "<host name=\"2001:db8::2\"/>");
    has(xml, "<auth username=\"starvirt\" type=\"ceph\">");
    has(xml, "<secret uuid=\"01890a5d-ac96-774b-bcce-000000000001\"/>");
}

static void the_key_is_not_in_it(void)
{
    const struct sv_hv_pool p = pool("a");
    SV_AUTOFREE char *xml = lv_rbd_xml(&p);
    CHECK(!strstr(xml, "c2VjcmV0") && !strstr(xml, "secret<"));
}

/* The core lets none of it in; were it otherwise, it would stay text. */
static void names_stay_text(void)
{
    struct sv_hv_pool p = pool("a\"/><x");
    SV_COPY(p.rbd_pool, "</name><evil/>");
    SV_COPY(p.rbd_user, "u' x=\"1");
    SV_AUTOFREE char *xml = lv_rbd_xml(&p);
    CHECK(!strstr(xml, "<evil/>") && !strstr(xml, "<x") && !strstr(xml, "x=\"1\""));
}

CHECK_MAIN(T(monitors_are_hosts_with_or_without_a_port), T(the_key_is_not_in_it), T(names_stay_text))
