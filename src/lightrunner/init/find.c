/* Find a command's program, as execvp(3) and container runtimes do. */
#include "modes.h"

enum { MAX_PATH = 4096 };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* 0 where this user may execute the file, else a negated errno. */
static long check(const char *path)
{
    struct stat stat;
    long error = SYS_4(NR_newfstatat, AT_FDCWD, path, &stat, 0);
    if (error < 0)
        return error;
    if ((stat.st_mode & S_IFMT) != S_IFREG)
        return -EACCES;
    return SYS_3(NR_faccessat, AT_FDCWD, path, X_OK);
}

const char *find_program(const char *name, char **envp, long *error)
{
    static char path[MAX_PATH + 256];
    const char *at = default_path;
    u64 size = text_length(name) + 1;
    *error = -ENOENT;
    for (; *envp; envp++)
        if (text_starts(*envp, "PATH="))
            at = *envp + 5;
    for (u64 slash = 0; slash < size; slash++)
        if (name[slash] == '/')
            return (*error = check(name)) == 0 ? name : 0;
    if (size < 2 || size > 256)
        return 0;
    for (;; at++) {
        u64 length = 0;
        while (at[length] && at[length] != ':')
            length++;
        if (length && length < MAX_PATH) {
            memcpy(path, at, length);
            path[length] = '/';
            memcpy(path + length + 1, name, size);
            long result = check(path);
            if (result == 0)
                return path;
            if (result != -ENOENT && result != -ENOTDIR)
                *error = result;
        }
        at += length;
        if (!*at)
            return 0;
    }
}
