#include "api/internal.h"

#include <stdio.h>

/* Why a request was malformed is said in English inside an error (logs, tests); readers of Chinese get it in
 * theirs. A row may be followed by what was met: 'duplicate key "vm.id"'. */

static const struct sv_phrase phrases[] = {
    {"too many query parameters", "查询参数过多"},
    {"'%' without two hex digits in the query", "查询串中的 % 后缺少两位十六进制数字"},
    {"not UTF-8", "不是 UTF-8 编码"},
    {"object expected", "应为 JSON 对象"},
    {"text after the object", "对象之后有多余内容"},
    {"unexpected end", "内容不完整"},
    {"value expected", "应为值"},
    {"key in double quotes expected", "应为双引号括起的键"},
    {"':' expected", "应为冒号"},
    {"',' or '}' expected", "应为逗号或 }"},
    {"',' or ']' expected", "应为逗号或 ]"},
    {"duplicate key", "重复的键"},
    {"too many keys", "键过多"},
    {"too many values", "值过多"},
    {"nested too deep", "嵌套过深"},
    {"integer out of range", "整数超出范围"},
    {"leading zero", "数字有前导零"},
    {"digit expected", "应为数字"},
    {"unfinished string", "字符串未结束"},
    {"unknown escape", "未知的转义"},
    {"\\u needs four hex digits", "\\u 后应有四位十六进制数字"},
    {"\\u0000 is not allowed", "不允许 \\u0000"},
    {"lone surrogate", "不成对的代理字符"},
    {"raw control character in a string", "字符串中有未转义的控制字符"},
    {"string", "字符串"},
    {"integer", "整数"},
    {"list of strings", "字符串列表"},
    {"given twice", "重复给出"},
    {0},
};

/* The longest row that `arg` begins with as a whole phrase. */
static size_t longest(const struct sv_phrase *row, const char *arg, size_t best, const char **ret_zh)
{
    for (; row && row->en; row++) {
        size_t n = strlen(row->en);
        if (n > best && strncmp(arg, row->en, n) == 0 && strchr(" ,", arg[n])) { /* or its end */
            best = n;
            *ret_zh = row->zh;
        }
    }
    return best;
}

#define PLACE " at byte "

/* The last one: what was met may contain the like. */
static const char *last_place(const char *text)
{
    const char *at = NULL;
    for (const char *p = strstr(text, PLACE); p; p = strstr(p + 1, PLACE))
        at = p;
    return at;
}

static const char *skip(const char *text, const char *word)
{
    const size_t n = strlen(word);
    return strncmp(text, word, n) == 0 ? text + n : NULL;
}

bool sv_phrase_zh(const struct sv_wire *w, const char *arg, char *buf, size_t size)
{
    const char *zh = NULL;
    size_t n = longest(phrases, arg, 0, &zh);
    n = longest(w->phrases, arg, n, &zh);
    if (!zh)
        return false;
    char text[SV_ERR_ARG_MAX * 2];
    const char *found = skip(arg + n, ", found "), *rest = found ? found : arg + n, *at = last_place(rest);
    const size_t met = at ? (size_t)(at - rest) : strlen(rest);
    const bool end = found && strncmp(rest, "the end", met) == 0;
    snprintf(text, sizeof(text), "%s%s%.*s%s%s%s", zh, found ? ",遇到 " : "", end ? 0 : (int)met, rest,
             end ? "结尾" : "", at ? ",位于字节 " : "", at ? at + strlen(PLACE) : "");
    sv_copy(buf, size, text);
    return true;
}
