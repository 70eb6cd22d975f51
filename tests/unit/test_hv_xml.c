/* Domain XML against golden files, and what is read back out of
 * libvirt's XML and error texts. */
#include "hv/libvirt/internal.h"

#include "tests/unit/golden.h"

static void matches_golden_on(const char *name, const struct sv_hv_domain *dom, const char *type, const char *nested)
{
    const struct lv_xml_env env = {.type = type, .image_dir = "/srv/images", .nested = nested};
    SV_AUTOFREE char *xml = lv_domain_xml(dom, &env);
    SV_AUTOFREE char *file = sv_asprintf("domain_%s.xml", name);
    matches_golden_file(file, xml);
}

static void matches_golden(const char *name, const struct sv_hv_domain *dom, const char *type)
{
    matches_golden_on(name, dom, type, NULL);
}

static struct sv_hv_domain small(void)
{
    struct sv_hv_domain d = {
        .name = "web 1",
        .vcpus = 1,
        .vcpus_max = 1,
        .memory = 128 * SV_MIB,
        .memory_max = 128 * SV_MIB,
        .disk_count = 1,
    };
    d.id = sv_id_from("01890000-0000-7000-8000-000000000001");
    d.disks[0] = (struct sv_hv_disk){.target = "vda", .size = SV_GIB};
    d.disks[0].id = sv_id_from("01890000-0000-7001-8000-00000000d001");
    return d;
}

static struct sv_hv_domain large(void)
{
    struct sv_hv_domain d = small();
    d.vcpus = 4;
    d.vcpus_max = 16;
    d.memory = 4 * SV_GIB;
    d.memory_max = 16 * SV_GIB;
    SV_COPY(d.vnc_password, "secret12");
    d.disks[0].template_id = sv_id_from("01890000-0000-7000-8000-00000000e001");
    d.disk_count = 2;
    d.disks[1] = (struct sv_hv_disk){.target = "vdb", .size = SV_GIB};
    d.disks[1].id = sv_id_from("01890000-0000-7002-8000-00000000d002");
    d.nic_count = 2;
    d.nics[0] = (struct sv_hv_nic){
        .kind = SV_HV_NIC_BRIDGE, .bridge = "svb00000001", .tap = "svt00000001", .mac = {2, 0x54, 0, 0xaa, 0xbb, 1}};
    d.nics[1] =
        (struct sv_hv_nic){.kind = SV_HV_NIC_ISOLATED, .tap = "svt00000002", .mac = {2, 0x54, 0, 0xaa, 0xbb, 2}};
    return d;
}

/* A NIC on OVN: told to its bridge by its id, and on the user-space datapath with whole frames. */
static void golden_ovs(void)
{
    struct sv_hv_domain d = small();
    d.nic_count = 2;
    d.nics[0] = (struct sv_hv_nic){.id = sv_id_from("01890000-0000-7003-8000-00000000c001"),
                                   .kind = SV_HV_NIC_OVS,
                                   .bridge = "br-int",
                                   .tap = "svt00000000c001",
                                   .mac = {0x52, 0x54, 0, 0xaa, 0xbb, 1},
                                   .mtu = 1442};
    d.nics[1] = d.nics[0];
    d.nics[1].id = sv_id_from("01890000-0000-7003-8000-00000000c002");
    d.nics[1].plain = true;
    matches_golden("ovs", &d, "qemu");
}

static void golden_small(void)
{
    struct sv_hv_domain d = small();
    matches_golden("small", &d, "qemu");
}

static void golden_large(void)
{
    struct sv_hv_domain d = large();
    matches_golden("large_tcg", &d, "qemu");
    matches_golden("large_kvm", &d, "kvm");
    matches_golden_on("large_kvm", &d, "kvm", "vmx"); /* one that asks for nothing gets nothing of it */
    d.nested = true;
    matches_golden("nested_kvm", &d, "kvm");
    matches_golden_on("nested_kvm_intel", &d, "kvm", "vmx");
    matches_golden_on("nested_kvm_amd", &d, "kvm", "svm");
    matches_golden("nested_tcg", &d, "qemu");
}

/* Threat 13: whatever people type stays text, on one line. */
static void golden_hostile(void)
{
    struct sv_hv_domain d = small();
    SV_COPY(d.name, "</title><devices>&\"'\n\r\t\x01\xff]]><!-- \xe4\xba\x91");
    SV_COPY(d.vnc_password, "'\"<>&/\\");
    matches_golden("hostile", &d, "qemu");
}

static void attr_is(const char *xml, const char *elem, const char *key, const char *value, const char *attr,
                    const char *want)
{
    char got[64] = "(none)";
    bool found = lv_xml_attr(xml, elem, key, value, attr, got, sizeof(got));
    CHECK_INT(found, want != NULL);
    CHECK_STR(got, want ? want : "(none)");
}

static void reads_attributes(void)
{
    static const char xml[] = "<domain type='qemu' id='3'>\n  <title>&lt;graphics type='vnc' passwd='no'</title>\n"
                              "  <target type='pci'/>\n  <graphicsx passwd='no'/>\n"
                              "  <graphics type='spice' passwd='spice'/>\n"
                              "  <graphics type='vnc' port='-1' passwd='a&amp;&lt;&quot;&apos;b'>\n"
                              "  <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>\n"
                              "<vendor>AuthenticAMD</vendor></domain>";
    attr_is(xml, "graphics", "type", "vnc", "passwd", "a&<\"'b");
    attr_is(xml, "graphics", "type", "spice", "passwd", "spice");
    attr_is(xml, "graphics", NULL, NULL, "type", "spice");
    attr_is(xml, "graphics", "type", "rdp", "passwd", NULL);
    attr_is(xml, "graphics", "type", "vnc", "nothing", NULL);
    attr_is(xml, "target", "name", "org.qemu.guest_agent.0", "state", "connected");
    attr_is(xml, "domain", NULL, NULL, "id", "3");
    attr_is("<domain", "domain", NULL, NULL, "id", NULL);
    attr_is("<domain id='3", "domain", NULL, NULL, "id", NULL);
    char text[32] = "";
    CHECK(lv_xml_text(xml, "vendor", text, sizeof(text)));
    CHECK_STR(text, "AuthenticAMD");
    CHECK(!lv_xml_text(xml, "model", text, sizeof(text)));
}

static void plain_is(const char *text, const char *want)
{
    char got[SV_ERR_ARG_MAX];
    lv_plain_text(text, got, sizeof(got));
    CHECK_STR(got, want);
}

/* Threat 24 */
static void texts_lose_paths(void)
{
    plain_is("Cannot access storage file '/srv/images/x.qcow2' (as uid:1): No such file or directory",
             "Cannot access storage file (path) (as uid:1): No such file or directory");
    plain_is("internal error: Child process (tc qdisc add dev vnet15) unexpected exit status 2: Error",
             "internal error: Child process");
    plain_is("first\nsecond /etc/passwd", "first");
    plain_is("  a   b ", "a b");
    plain_is("", "");
    char tiny[8];
    lv_plain_text("0123456789", tiny, sizeof(tiny));
    CHECK_STR(tiny, "0123456");
}

CHECK_MAIN(T(golden_small), T(golden_ovs), T(golden_large), T(golden_hostile), T(reads_attributes), T(texts_lose_paths))
