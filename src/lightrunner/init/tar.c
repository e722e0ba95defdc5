/* Folders of a sandbox, as tar archives, packed and unpacked by a process of the sandbox and as its user.
 *
 * What is packed is hostile, and the host's reader treats it so. What is unpacked is the host's own: GNU's format, as
 * rules/tarheader.py writes it: files and folders, long names, numbers in base 256. The exit status is an errno. */
#include "modes.h"

enum { BLOCK = 512, MAX_PATH = 65536, MAX_DEPTH = 255 };

struct tar { char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], kind, link[100], magic[8], rest[247]; };
_Static_assert(sizeof(struct tar) == BLOCK, "a header is a block");

static char path[MAX_PATH + 1];
static u8 data[1 << 16];
static u8 buffer[1 << 16];
static u64 buffered;

long make_parents(char *path);

/* --- packing ----------------------------------------------------------------------------------------------------- */

static void flush(void)
{
    if (buffered && write_all(1, buffer, buffered) < 0)
        sys_exit(EPIPE);
    buffered = 0;
}

static void put(const void *bytes, u64 size)
{
    const u8 *at = bytes;
    while (size) {
        u64 part = sizeof buffer - buffered < size ? sizeof buffer - buffered : size;
        memcpy(buffer + buffered, at, part);
        buffered += part;
        at += part;
        size -= part;
        if (buffered == sizeof buffer)
            flush();
    }
}

static void pad(u64 size)
{
    static const u8 zeros[BLOCK];
    put(zeros, -size & (BLOCK - 1));
}

static void octal(char *field, int digits, u64 value)
{
    field[digits] = 0;
    while (digits--) {
        field[digits] = (char)('0' + (value & 7));
        value >>= 3;
    }
}

static void number(char *field, u64 value)
{
    if (value < 1UL << 33) {
        octal(field, 11, value);
        return;
    }
    for (int at = 11; at > 3; at--, value >>= 8)
        field[at] = (char)value;
    field[0] = (char)0x80; /* Base 256. */
}

static void put_header(const char *name, u64 length, char kind, u32 mode, u64 size, i64 mtime)
{
    struct tar header;
    u64 sum = 0;
    if (length > sizeof header.name) {
        put_header("././@LongLink", 13, 'L', 0, length + 1, 0);
        put(name, length + 1);
        pad(length + 1);
    }
    memset(&header, 0, sizeof header);
    memcpy(header.name, name, length < sizeof header.name ? length : sizeof header.name);
    octal(header.mode, 7, mode & 07777);
    octal(header.uid, 7, 0);
    octal(header.gid, 7, 0);
    number(header.size, size);
    number(header.mtime, mtime < 0 ? 0 : (u64)mtime);
    header.kind = kind;
    memcpy(header.magic, "ustar  ", 8);
    memset(header.sum, ' ', sizeof header.sum);
    for (u64 at = 0; at < BLOCK; at++)
        sum += ((u8 *)&header)[at];
    octal(header.sum, 6, sum);
    header.sum[7] = ' ';
    put(&header, sizeof header);
}

static long put_file(int folder, const char *name, u64 length)
{
    struct stat stat;
    int fd = (int)SYS_4(NR_openat, folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    long result = SYS_2(NR_fstat, fd, &stat);
    if (result >= 0 && (stat.st_mode & S_IFMT) != S_IFREG)
        result = -EINVAL; /* It was exchanged. */
    if (result >= 0) {
        u64 left = (u64)stat.st_size;
        put_header(path, length, '0', stat.st_mode, left, stat.st_mtime);
        while (left && result >= 0) {
            result = sys_read(fd, data, left < sizeof data ? left : sizeof data);
            if (result == 0)
                result = -EIO; /* It has shrunk. */
            if (result > 0) {
                put(data, (u64)result);
                left -= (u64)result;
            }
        }
        pad((u64)stat.st_size);
    }
    sys_close(fd);
    return result < 0 ? result : 0;
}

static long put_any(int folder, const char *name, u64 length, int depth);

static long put_folder(int folder, const char *name, u64 length, const struct stat *stat, int depth)
{
    char entries[4096] __attribute__((aligned(8)));
    long result;
    if (depth == MAX_DEPTH)
        return -ENAMETOOLONG;
    int fd = (int)SYS_4(NR_openat, folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    path[length++] = '/';
    path[length] = 0;
    put_header(path, length, '5', stat->st_mode, 0, stat->st_mtime);
    while ((result = SYS_3(NR_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0, size = result; at < size;) {
            const char *entry = entries + at + 19;
            u64 entry_length = text_length(entry);
            at += *(u16 *)(entries + at + 16);
            if (text_equal(entry, ".") || text_equal(entry, ".."))
                continue;
            if (length + entry_length + 2 > MAX_PATH)
                return -ENAMETOOLONG;
            memcpy(path + length, entry, entry_length + 1);
            result = put_any(fd, entry, length + entry_length, depth + 1);
            if (result < 0) {
                sys_close(fd);
                return result;
            }
        }
    sys_close(fd);
    return result;
}

static long put_any(int folder, const char *name, u64 length, int depth)
{
    struct stat stat;
    long result = SYS_4(NR_newfstatat, folder, name, &stat, AT_SYMLINK_NOFOLLOW);
    if (result >= 0 && (stat.st_mode & S_IFMT) == S_IFREG)
        result = put_file(folder, name, length);
    else if (result >= 0 && (stat.st_mode & S_IFMT) == S_IFDIR)
        result = put_folder(folder, name, length, &stat, depth);
    if (result < 0)
        return result == -ENOENT && depth ? 0 : result; /* It was removed meanwhile. */
    switch (stat.st_mode & S_IFMT) {
    case S_IFLNK:
        put_header(path, length, '2', stat.st_mode, 0, stat.st_mtime);
        return 0;
    case S_IFCHR:
        put_header(path, length, '3', stat.st_mode, 0, stat.st_mtime);
        return 0;
    case S_IFBLK:
        put_header(path, length, '4', stat.st_mode, 0, stat.st_mtime);
        return 0;
    case S_IFIFO:
        put_header(path, length, '6', stat.st_mode, 0, stat.st_mtime);
        return 0;
    default:
        return 0; /* tar has no sockets. */
    }
}

int pack(const char *source)
{
    static const u8 end[2 * BLOCK];
    u64 start = text_length(source);
    while (start > 1 && source[start - 1] == '/')
        start--;
    u64 length = start;
    while (start && source[start - 1] != '/')
        start--;
    length -= start;
    if (length >= 256)
        return ENAMETOOLONG;
    memcpy(path, source + start, length);
    path[length] = 0;
    if (!length) {
        path[0] = '.';
        path[length = 1] = 0;
    }
    long result = put_any(AT_FDCWD, source, length, 0);
    if (result < 0) {
        flush();
        return (int)-result;
    }
    put(end, sizeof end);
    flush();
    return 0;
}

/* --- unpacking --------------------------------------------------------------------------------------------------- */

static int get(void *to, u64 size)
{
    u8 *at = to;
    while (size) {
        long got = sys_read(0, at, size);
        if (got == -EINTR)
            continue;
        if (got <= 0)
            return 0;
        at += got;
        size -= (u64)got;
    }
    return 1;
}

static u64 value_of(const char *field, int size)
{
    u64 value = 0;
    if (field[0] & 0x80) {
        for (int at = 1; at < size; at++)
            value = value << 8 | (u8)field[at];
        return value;
    }
    for (int at = 0; at < size && field[at] >= '0' && field[at] <= '7'; at++)
        value = value << 3 | (u64)(field[at] - '0');
    return value;
}

static long get_file(u64 size, u32 mode, i64 mtime)
{
    struct timespec times[2] = {{mtime, 0}, {mtime, 0}};
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = (int)sys_open(path, flags, 0600);
    if (fd < 0 && fd != -EISDIR && SYS_3(NR_unlinkat, AT_FDCWD, path, 0) >= 0)
        fd = (int)sys_open(path, flags, 0600); /* What stood there was a link, a pipe, or write-protected. */
    if (fd < 0)
        return fd;
    for (u64 left = size; left;) {
        u64 part = left < sizeof data ? left : sizeof data;
        if (!get(data, part))
            return -EPIPE;
        long result = write_all(fd, data, part);
        if (result < 0)
            return result;
        left -= part;
    }
    SYS_2(NR_fchmod, fd, mode);
    SYS_4(NR_utimensat, fd, 0, times, 0);
    sys_close(fd);
    return get(data, -size & (BLOCK - 1)) ? 0 : -EPIPE;
}

static long get_folder(u32 mode)
{
    struct stat stat;
    long result = SYS_3(NR_mkdirat, AT_FDCWD, path, 0777);
    if (result == -EEXIST) {
        result = SYS_4(NR_newfstatat, AT_FDCWD, path, &stat, 0);
        return result < 0 || (stat.st_mode & S_IFMT) == S_IFDIR ? result : -ENOTDIR;
    }
    return result < 0 ? result : SYS_3(NR_fchmodat, AT_FDCWD, path, mode);
}

int unpack(const char *target)
{
    struct tar header;
    int has_long_name = 0;
    u64 length = text_length(target);
    if (length >= MAX_PATH - 1)
        return ENAMETOOLONG;
    memcpy(path, target, length);
    memcpy(path + length, "/", 2);
    long result = make_parents(path);
    if (result >= 0)
        result = SYS_1(NR_chdir, target);
    while (result >= 0) {
        if (!get(&header, sizeof header))
            return EPIPE; /* An archive ends with a block of zeros. */
        if (!header.name[0]) {
            while (sys_read(0, data, sizeof data) > 0)
                ;
            return 0;
        }
        u64 size = value_of(header.size, sizeof header.size);
        if (header.kind == 'L') {
            if (size > MAX_PATH)
                return ENAMETOOLONG;
            if (!get(path, size) || !get(data, -size & (BLOCK - 1)))
                return EPIPE;
            path[size] = 0;
            has_long_name = 1;
            continue;
        }
        if (!has_long_name) {
            memcpy(path, header.name, sizeof header.name);
            path[sizeof header.name] = 0;
        }
        has_long_name = 0;
        u32 mode = (u32)value_of(header.mode, sizeof header.mode);
        if (header.kind == '5')
            result = get_folder(mode);
        else if (header.kind == '0')
            result = get_file(size, mode, (i64)value_of(header.mtime, sizeof header.mtime));
        else
            return EINVAL;
    }
    return (int)-result;
}
