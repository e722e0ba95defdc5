/* secrets: process 1 of a run with secrets, until it becomes the run's command.
 *
 * The secrets come first on stdin, as rules/secrets.py packs them: a count, then for each the lengths of its name and its
 * content, both as 32 bits in little-endian order, its name and its content. They are written to the tmpfs at
 * /run/secrets, which the runtime has mounted for the user that this process has: no privilege is needed, and none is
 * given up. Then READY goes to stdout. The byte that answers it says whether the command's input follows on stdin. No
 * byte beyond that one is read, and without it the command does not start.
 *
 * What fails before READY is one line on stderr. No content of a secret is ever in it. */
#include "modes.h"

enum {
    EXIT_FAILED = 125, /* as docker run's own, where the container did not get as far as the command */
    MAX_SECRETS = 64, MAX_NAME = 255, MAX_BYTES = 256 * 1024, /* rules/limits.py */
    TMPFS_MAGIC = 0x01021994,                                 /* linux/magic.h */
};

static const char FOLDER[] = "/run/secrets";
static const char READY[] = "ready\n";
static u8 buffer[16384];

static int __attribute__((warn_unused_result)) fail(const char *what, const char *name)
{
    write_all(2, what, text_length(what));
    if (name) {
        write_all(2, ": ", 2);
        write_all(2, name, text_length(name));
    }
    write_all(2, "\n", 1);
    return EXIT_FAILED;
}

/* Read exactly so much of stdin; 0 where it ends first. */
static int receive(void *to, u64 size)
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

static int is_file_name(const char *name, u64 length)
{
    for (u64 at = 0; at < length; at++)
        if (!name[at] || name[at] == '/')
            return 0;
    return length && !text_equal(name, ".") && !text_equal(name, "..");
}

/* Open the tmpfs, for this user alone; a negated exit status where it is not what it must be. */
static int open_folder(void)
{
    i64 system[32] = {0}; /* struct statfs, whose first word is the type; it has 120 bytes. */
    struct stat stat;
    int folder = (int)sys_open(FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (folder < 0 || SYS_2(NR_fstatfs, folder, system) < 0 || system[0] != TMPFS_MAGIC)
        return -fail("there is no tmpfs", FOLDER);
    if (SYS_2(NR_fstat, folder, &stat) < 0 || stat.st_uid != (u32)SYS_1(NR_geteuid, 0))
        return -fail("another user owns", FOLDER);
    /* Some runtimes give a tmpfs the mode of the image's folder in its place. */
    if (SYS_2(NR_fchmod, folder, 0700) < 0)
        return -fail("the mode cannot be set", FOLDER);
    return folder;
}

static int write_secret(int folder, const char *name, u32 size)
{
    SYS_3(NR_unlinkat, folder, name, 0); /* podman copies what the image has there. */
    int file = (int)SYS_4(NR_openat, folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (file < 0 || SYS_2(NR_fchmod, file, 0400) < 0)
        return fail("the secret cannot be created", name);
    while (size) {
        u32 part = size < sizeof buffer ? size : (u32)sizeof buffer;
        if (!receive(buffer, part))
            return fail("stdin ended within the secret", name);
        if (write_all(file, buffer, part) < 0)
            return fail("the secret cannot be written", name);
        size -= part;
    }
    sys_close(file);
    return 0;
}

static int write_secrets(int folder)
{
    static char name[MAX_NAME + 1];
    u32 count, sizes[2], left = MAX_BYTES;
    if (!receive(&count, sizeof count) || count > MAX_SECRETS)
        return fail("stdin does not begin with secrets", 0);
    while (count--) {
        if (!receive(sizes, sizeof sizes) || sizes[0] > MAX_NAME || sizes[1] > left || !receive(name, sizes[0]))
            return fail("stdin has something else than secrets", 0);
        name[sizes[0]] = 0;
        if (!is_file_name(name, sizes[0]))
            return fail("not the name of a file", name);
        left -= sizes[1];
        int status = write_secret(folder, name, sizes[1]);
        if (status)
            return status;
    }
    return 0;
}

int secrets(char **command, char **envp)
{
    u8 answer;
    long error = 0;
    if (!command[0])
        return EXIT_USAGE;
    int folder = open_folder();
    if (folder < 0)
        return -folder;
    int status = write_secrets(folder);
    if (status)
        return status;
    const char *program = find_program(command[0], envp, &error);
    if (!program)
        return fail(error == -ENOENT ? "there is no such program" : "the program may not be executed", command[0]);
    if (write_all(1, READY, sizeof READY - 1) < 0 || !receive(&answer, 1))
        return EXIT_FAILED;
    if (answer == 'n') {
        /* Without input, stdin is /dev/null, as in any run. */
        int null = (int)sys_open("/dev/null", O_RDONLY, 0);
        if (null < 0 || SYS_3(NR_dup3, null, 0, 0) < 0)
            return fail("there is no /dev/null", 0);
        sys_close(null);
    }
    error = SYS_3(NR_execve, program, command, envp);
    (void)!fail("lightrunner: the command cannot be executed", command[0]);
    return error == -ENOENT ? 127 : 126;
}
