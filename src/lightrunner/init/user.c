/* Whom a command runs as: a name or a number, in the container's own /etc/passwd and /etc/group, as Docker reads
 * them (moby, libcontainer/user: GetExecUser). It runs in the child that becomes the command. */
#include "server.h"

enum { MAX_FILE = 1 << 18, MAX_FIELDS = 7 };

static char passwd[MAX_FILE + 1], group[MAX_FILE + 1];

static void load(const char *path, char *text)
{
    u64 size = 0;
    int fd = (int)sys_open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    for (long got; size < MAX_FILE && (got = sys_read(fd, text + size, MAX_FILE - size)) > 0;)
        size += (u64)got;
    text[size] = 0;
    sys_close(fd);
}

/* Cut one line into its fields, in place; returns what follows it, NULL at the end. */
static char *next_line(char *text, char **fields)
{
    int count = 1;
    if (!*text)
        return 0;
    for (int at = 0; at < MAX_FIELDS; at++)
        fields[at] = "";
    fields[0] = text;
    for (; *text && *text != '\n'; text++)
        if (*text == ':' && count < MAX_FIELDS) {
            *text = 0;
            fields[count++] = text + 1;
        }
    if (*text)
        *text++ = 0;
    return text;
}

static int is_member(const char *members, const char *name)
{
    u64 length = text_length(name);
    while (*members) {
        u64 end = 0;
        while (members[end] && members[end] != ',')
            end++;
        if (end == length && text_starts(members, name))
            return 1;
        members += end + (members[end] == ',');
    }
    return 0;
}

/* Fill in the user; 0, or a negated errno where there is no such user or group. */
int find_user(const char *text, struct user *user)
{
    static char name[256];
    const char *group_name = "";
    const char *login = "";
    char *fields[MAX_FIELDS];
    u64 length = text_length(text);
    if (length >= sizeof name)
        return -ENOENT;
    memcpy(name, text, length + 1);
    for (u64 at = 0; at < length; at++)
        if (name[at] == ':') {
            name[at] = 0;
            group_name = name + at + 1;
            break;
        }
    i64 number = *name ? text_parse(name) : 0;
    int found = 0;
    user->gid = 0;
    user->group_count = 0;
    user->home = "/";
    load("/etc/passwd", passwd);
    for (char *at = passwd; !found && (at = next_line(at, fields));)
        if ((*name && text_equal(fields[0], name)) || (number >= 0 && text_parse(fields[2]) == number)) {
            found = 1;
            login = fields[0];
            number = text_parse(fields[2]);
            user->gid = (u32)text_parse(fields[3]);
            if (*fields[5])
                user->home = fields[5];
        }
    if (number < 0 || number > 0xfffffffeL)
        return -ENOENT;
    user->uid = (u32)number;
    i64 gid = *group_name ? text_parse(group_name) : -1;
    int group_found = !*group_name;
    load("/etc/group", group);
    for (char *at = group; (at = next_line(at, fields));) {
        i64 entry = text_parse(fields[2]);
        if (entry < 0)
            continue;
        if (*group_name) {
            if (!group_found && (text_equal(fields[0], group_name) || entry == gid)) {
                group_found = 1;
                gid = entry;
            }
        } else if (*login && is_member(fields[3], login) && user->group_count < 64)
            user->groups[user->group_count++] = (u32)entry;
    }
    if (*group_name) {
        if (gid < 0 || gid > 0xfffffffeL)
            return -ENOENT;
        user->gid = (u32)gid;
    }
    return 0;
}
