#include "check.h"
#include "starvirt/id.h"
#include "starvirt/text.h"

static void shape(void)
{
    struct sv_buf out = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "domain");
    sv_xml_attr(&x, "type", "kvm");
    sv_xml_leaf(&x, "name", "a");
    sv_xml_leaf(&x, "empty", "");
    sv_xml_open(&x, "memory");
    sv_xml_attr(&x, "unit", "MiB");
    sv_xml_text(&x, "512");
    sv_xml_close(&x);
    sv_xml_open(&x, "features");
    sv_xml_empty(&x, "acpi");
    sv_xml_close(&x);
    sv_xml_open(&x, "vcpu");
    sv_xml_attr_int(&x, "current", -2);
    sv_xml_close(&x);
    sv_xml_close(&x);
    CHECK_STR(out.p, "<domain type=\"kvm\">\n"
                     "  <name>a</name>\n"
                     "  <empty></empty>\n"
                     "  <memory unit=\"MiB\">512</memory>\n"
                     "  <features>\n"
                     "    <acpi/>\n"
                     "  </features>\n"
                     "  <vcpu current=\"-2\"/>\n"
                     "</domain>\n");
    CHECK_INT(x.depth, 0);
    sv_buf_free(&out);
}

static void expect(const char *value, const char *as_text, const char *as_attr)
{
    struct sv_buf out = {0}, want = {0};
    struct sv_xml x;
    sv_xml_init(&x, &out);
    sv_xml_open(&x, "a");
    sv_xml_attr(&x, "v", value);
    sv_xml_text(&x, value);
    sv_xml_close(&x);
    sv_buf_printf(&want, "<a v=\"%s\">%s</a>\n", as_attr, as_text);
    CHECK_STR(out.p, want.p);
    sv_buf_free(&out);
    sv_buf_free(&want);
}

static void escapes(void)
{
    expect("", "", "");
    expect(NULL, "", "");
    expect("plain 云😀", "plain 云😀", "plain 云😀");
    expect("</a><b>&amp;\"'", "&lt;/a&gt;&lt;b&gt;&amp;amp;&quot;&apos;", "&lt;/a&gt;&lt;b&gt;&amp;amp;&quot;&apos;");
    expect("a\tb\nc\rd", "a\tb\nc&#13;d", "a&#9;b&#10;c&#13;d");
    expect("\x01\x1f", "\xEF\xBF\xBD\xEF\xBF\xBD", "\xEF\xBF\xBD\xEF\xBF\xBD");
    expect("\xFF\xEF\xBF\xBE\xEF\xBF\xBF\xED\xA0\x80", /* bad byte, noncharacters, surrogate */
           "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
           "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    expect("\x7f", "\x7f", "\x7f");
}

/* Whatever a name holds, markup can only come from the writer: the count of '<' and '"' is fixed. */
static void nothing_escapes(void)
{
    static const char *const pieces[] = {"<",  ">",    "&",  "\"",   "'",        "]]>", "<!--",
                                         "\n", "\x02", "云", "\xFF", "\xEF\xBF", "x"};
    for (int round = 0; round < 3000; round++) {
        struct sv_buf in = {0}, out = {0};
        struct sv_xml x;
        unsigned char r[24];
        sv_random(r, sizeof(r));
        sv_buf_puts(&in, "");
        for (unsigned i = 0; i < r[0] % 20u; i++)
            sv_buf_puts(&in, pieces[r[i + 1] % (sizeof(pieces) / sizeof(pieces[0]))]);
        sv_xml_init(&x, &out);
        sv_xml_open(&x, "a");
        sv_xml_attr(&x, "v", in.p);
        sv_xml_leaf(&x, "b", in.p);
        sv_xml_close(&x);
        unsigned open = 0, close = 0, quotes = 0;
        for (const char *p = out.p; *p; p++) {
            open += *p == '<';
            close += *p == '>';
            quotes += *p == '"';
            CHECK((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t');
        }
        CHECK_INT(open, 4);
        CHECK_INT(close, 4);
        CHECK_INT(quotes, 2);
        CHECK(sv_utf8_valid(out.p, out.n));
        sv_buf_free(&in);
        sv_buf_free(&out);
    }
}

CHECK_MAIN(T(shape), T(escapes), T(nothing_escapes))
