/* One file of a sandbox, read or written by a process of the sandbox and as its user: what it may not open, this may
 * not either, and links that are exchanged meanwhile lead nowhere else. The exit status is an errno. */
#include "modes.h"

static u8 data[1 << 16];

/* Make the folders that lead to a path. */
long make_parents(char *path)
{
    for (u64 at = 1; path[at]; at++)
        if (path[at] == '/') {
            path[at] = 0;
            long result = SYS_3(NR_mkdirat, AT_FDCWD, path, 0777);
            path[at] = '/';
            if (result < 0 && result != -EEXIST)
                return result;
        }
    return 0;
}

static long open_file(const char *path, int flags)
{
    struct stat stat;
    long fd = sys_open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0)
        return fd;
    long result = SYS_2(NR_fstat, fd, &stat);
    if (result < 0)
        return result;
    if ((stat.st_mode & S_IFMT) == S_IFDIR)
        return -EISDIR;
    return (stat.st_mode & S_IFMT) == S_IFREG ? fd : -EINVAL; /* A pipe or a device. */
}

/* Copy at most `limit` bytes; more are EFBIG. */
static long copy(int from, int to, i64 limit)
{
    for (;;) {
        long size = sys_read(from, data, sizeof data);
        if (size == -EINTR)
            continue;
        if (size <= 0)
            return size;
        long written = write_all(to, data, (u64)(size < limit ? size : limit));
        if (written < 0)
            return written;
        if (size > limit)
            return -EFBIG;
        limit -= size;
    }
}

int read_file(const char *path, const char *limit)
{
    long fd = open_file(path, O_RDONLY);
    return (int)-(fd < 0 ? fd : copy((int)fd, 1, text_parse(limit)));
}

int write_file(const char *path)
{
    static char folders[4096];
    u64 length = text_length(path);
    if (length >= sizeof folders)
        return ENAMETOOLONG;
    memcpy(folders, path, length + 1);
    long result = make_parents(folders);
    long fd = result < 0 ? result : open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
    return (int)-(fd < 0 ? fd : copy(0, (int)fd, 1L << 62));
}
