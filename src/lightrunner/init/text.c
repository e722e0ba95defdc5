#include "text.h"

void *memcpy(void *to, const void *from, u64 size)
{
    u8 *t = to;
    const u8 *f = from;
    for (; size >= 8; size -= 8, t += 8, f += 8)
        *(u64 __attribute__((may_alias, aligned(1))) *)t = *(const u64 __attribute__((may_alias, aligned(1))) *)f;
    while (size--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, u64 size)
{
    u8 *t = to;
    while (size--)
        *t++ = (u8)value;
    return to;
}

void *memmove(void *to, const void *from, u64 size)
{
    u8 *t = to;
    const u8 *f = from;
    if (t <= f)
        return memcpy(to, from, size); /* It copies upward. */
    while (size--)
        t[size] = f[size];
    return to;
}

u64 text_length(const char *text)
{
    u64 length = 0;
    while (text[length])
        length++;
    return length;
}

int text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

int text_starts(const char *text, const char *start)
{
    while (*start)
        if (*text++ != *start++)
            return 0;
    return 1;
}

u64 text_number(char *to, u64 value)
{
    char digits[24];
    u64 count = 0, at = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        to[at++] = digits[--count];
    to[at] = 0;
    return at;
}

i64 text_parse(const char *text)
{
    i64 value = 0;
    u64 at = 0;
    for (; text[at]; at++) {
        if (text[at] < '0' || text[at] > '9' || at == 10)
            return -1;
        value = value * 10 + text[at] - '0';
    }
    return at ? value : -1;
}

long write_all(int fd, const void *data, u64 size)
{
    const u8 *at = data;
    while (size) {
        long written = sys_write(fd, at, size);
        if (written == -EINTR)
            continue;
        if (written < 0)
            return written;
        at += written;
        size -= (u64)written;
    }
    return 0;
}
