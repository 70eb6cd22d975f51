#include "api/internal.h"

#include <stdio.h>

/* Why a request was malformed is said in English inside an error (logs, tests); readers of Chinese get it in
 * theirs. A row may be followed by what was met: 'duplicate key "vm.id"'. */

static const struct {
    const char *en, *zh;
} phrases[] = {
    {"too many form fields", "表单字段过多"},
    {"too many query parameters", "查询参数过多"},
    {"KEY_PARAM is given twice", "KEY_PARAM 重复"},
    {"the form has no field KEY_PARAM", "表单中没有 KEY_PARAM 字段"},
    {"'%' without two hex digits in KEY_PARAM", "KEY_PARAM 中的 % 后缺少两位十六进制数字"},
    {"'%' without two hex digits in a form field's name", "表单字段名中的 % 后缺少两位十六进制数字"},
    {"'%' without two hex digits in the query", "查询串中的 % 后缺少两位十六进制数字"},
    {"multipart: no boundary in Content-Type", "multipart:Content-Type 中没有 boundary"},
    {"multipart: the boundary is not alone on its line", "multipart:分隔行含有多余内容"},
    {"multipart: the closing boundary is missing", "multipart:缺少结束分隔行"},
    {"not UTF-8", "不是 UTF-8 编码"},
    {"object expected", "应为 JSON 对象"},
    {"text after the object", "对象之后有多余内容"},
    {"unexpected end", "内容不完整"},
    {"unexpected character", "意外的字符"},
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
};

/* The longest row that `arg` begins with as a whole phrase. */
static size_t longest(const char *arg, const char **ret_zh)
{
    size_t best = 0;
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        size_t n = strlen(phrases[i].en);
        if (n > best && strncmp(arg, phrases[i].en, n) == 0 && (arg[n] == '\0' || arg[n] == ' ')) {
            best = n;
            *ret_zh = phrases[i].zh;
        }
    }
    return best;
}

bool sv_phrase_zh(const char *arg, char *buf, size_t size)
{
    const char *zh = NULL;
    size_t n = longest(arg, &zh);
    if (!zh)
        return false;
    const char *rest = arg + n, *at = strstr(rest, " (byte ");
    char text[SV_ERR_ARG_MAX * 2];
    if (at)
        snprintf(text, sizeof(text), "%s%.*s(第 %.*s 字节)", zh, (int)(at - rest), rest,
                 (int)strspn(at + 7, "0123456789"), at + 7);
    else
        snprintf(text, sizeof(text), "%s%s", zh, rest);
    sv_copy(buf, size, text);
    return true;
}
