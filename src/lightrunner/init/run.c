/* run: process 1 of a container whose usage is measured. It runs one command, kills what the command left, and reports.
 *
 * The report is the last thing in the container's stderr, and cannot be forged by what runs in the container:
 * - it begins with a nonce that the command never sees. It comes in our environment, which the kernel shows to nobody
 *   once we are not dumpable (PR_SET_DUMPABLE; only CAP_SYS_PTRACE of the host's user namespace goes past that);
 * - when it is written, no other process is left that could write behind it: kill(-1) from process 1 reaches every
 *   process of the namespace, and process 1 itself cannot be killed or traced from inside.
 * The figures are the kernel's, of the container's control group. The files are opened before the command exists. */
#include "modes.h"

#if defined(__x86_64__)
enum { NR_rt_sigtimedwait = 128 };
#else
enum { NR_rt_sigtimedwait = 137 };
#endif

enum {
    NONCE = 32,         /* hexadecimal digits */
    FIELDS = 10,        /* see `report` */
    MOST_WAIT_MS = 2000, /* for processes that kill(-1) has reached, or cannot reach: setuid ones of another user */
    CGROUP_MAGIC = 0x27e0eb,
    CGROUP2_MAGIC = 0x63677270,
};

static const char NAME[] = "LIGHT_RUNNER_USAGE=";
static const u64 ALL_SIGNALS = ~0ul;
static const u64 NO_SIGNALS = 0;

/* What the control group says, in the kernel's units; -1: it does not say. */
struct figures { i64 cpu, user, system, memory, pids, read, written, oom; };

/* Descriptors of the files; -1 for one that is not there. */
struct files { int is_v2, cpu, user, system, memory, pids, io, oom; };

static char text[16384];

static int open_figure(const char *path, i64 magic)
{
    i64 stat[32] = {0}; /* struct statfs, of which the first word is the type; it has 120 bytes. */
    int fd = (int)sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* An image may have files of these names, where the runtime mounts no control groups. */
    if (SYS_2(NR_fstatfs, fd, stat) == 0 && stat[0] == magic)
        return fd;
    sys_close(fd);
    return -1;
}

static int open_either(const char *path, const char *other)
{
    int fd = open_figure(path, CGROUP_MAGIC);
    return fd >= 0 ? fd : open_figure(other, CGROUP_MAGIC);
}

static struct files open_files(void)
{
    struct files f;
    f.cpu = open_figure("/sys/fs/cgroup/cpu.stat", CGROUP2_MAGIC);
    f.is_v2 = f.cpu >= 0;
    f.user = f.system = -1;
    if (f.is_v2) {
        f.memory = open_figure("/sys/fs/cgroup/memory.peak", CGROUP2_MAGIC);
        f.pids = open_figure("/sys/fs/cgroup/pids.peak", CGROUP2_MAGIC);
        f.io = open_figure("/sys/fs/cgroup/io.stat", CGROUP2_MAGIC);
        f.oom = open_figure("/sys/fs/cgroup/memory.events", CGROUP2_MAGIC);
        return f;
    }
    f.cpu = open_either("/sys/fs/cgroup/cpuacct/cpuacct.usage", "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage");
    f.user = open_either("/sys/fs/cgroup/cpuacct/cpuacct.usage_user", "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage_user");
    f.system = open_either("/sys/fs/cgroup/cpuacct/cpuacct.usage_sys", "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage_sys");
    f.memory = open_figure("/sys/fs/cgroup/memory/memory.max_usage_in_bytes", CGROUP_MAGIC);
    f.pids = open_figure("/sys/fs/cgroup/pids/pids.peak", CGROUP_MAGIC);
    f.io = -1; /* It counts neither what the kernel writes back nor, without a limit, what is read. */
    f.oom = open_figure("/sys/fs/cgroup/memory/memory.oom_control", CGROUP_MAGIC);
    return f;
}

/* Read a file from its start into `text`, with a NUL behind it; 0 where there is none. */
static int load(int fd)
{
    u64 size = 0;
    long got;
    if (fd < 0)
        return 0;
    while (size < sizeof text - 1) {
        got = SYS_4(NR_pread64, fd, text + size, sizeof text - 1 - size, size);
        if (got < 0)
            return 0;
        if (got == 0)
            break;
        size += (u64)got;
    }
    text[size] = 0;
    return 1;
}

static i64 digits(const char *at)
{
    i64 value = 0;
    if (*at < '0' || *at > '9')
        return -1;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    return value;
}

static i64 single(int fd) { return load(fd) ? digits(text) : -1; }

/* The sum of the numbers behind each `key` that begins a word; -1 without any. */
static i64 sum(const char *key)
{
    i64 total = -1, value;
    const char *at;
    for (at = text; *at; at++) {
        if ((at == text || at[-1] == '\n' || at[-1] == ' ') && text_starts(at, key)) {
            value = digits(at + text_length(key));
            if (value >= 0)
                total = (total < 0 ? 0 : total) + value;
        }
    }
    return total;
}

static struct figures read_figures(const struct files *f)
{
    struct figures n = {-1, -1, -1, -1, -1, -1, -1, -1};
    if (f->is_v2) {
        if (load(f->cpu)) {
            n.cpu = sum("usage_usec ") * 1000;
            n.user = sum("user_usec ") * 1000;
            n.system = sum("system_usec ") * 1000;
        }
        if (load(f->io)) {
            n.read = text[0] ? sum("rbytes=") : 0;
            n.written = text[0] ? sum("wbytes=") : 0;
        }
    } else {
        n.cpu = single(f->cpu);
        n.user = single(f->user);
        n.system = single(f->system);
    }
    n.memory = single(f->memory);
    n.pids = single(f->pids);
    if (load(f->oom))
        n.oom = sum("oom_kill ");
    return n;
}

static i64 since(i64 before, i64 after) { return before < 0 || after < before ? -1 : after - before; }

/* A peak counts if it is of our time: a runtime's own start may have been the higher one. */
static i64 peak(i64 before, i64 after) { return before < 0 || after <= before ? -1 : after; }

/* Take the nonce out of the environment, and out of our memory, which the kernel shows as /proc/1/environ. */
static int take_nonce(char **envp, char *nonce)
{
    char **to = envp;
    int found = 0;
    u64 at;
    for (; *envp; envp++) {
        if (!text_starts(*envp, NAME) || text_length(*envp) != sizeof NAME - 1 + NONCE) {
            *to++ = *envp;
            continue;
        }
        for (at = 0; at < NONCE; at++) {
            nonce[at] = (*envp)[sizeof NAME - 1 + at];
            ((volatile char *)*envp)[sizeof NAME - 1 + at] = '0';
        }
        found = 1;
    }
    *to = 0;
    return found;
}

/* execve, looking the program up in PATH; returns the exit code that a shell would have. */
static int execute(char **command, char **envp)
{
    long error;
    const char *program = find_program(command[0], envp, &error);
    if (program)
        error = SYS_3(NR_execve, program, command, envp);
    return error == -ENOENT ? 127 : 126;
}

static int start(char **command, char **envp)
{
    int child = (int)sys_fork(), code;
    if (child != 0)
        return child;
    SYS_1(NR_setsid, 0);
    SYS_4(NR_rt_sigprocmask, SIG_SETMASK, &NO_SIGNALS, 0, sizeof NO_SIGNALS);
    code = execute(command, envp);
    {
        static const char missing[] = "lightrunner: the command cannot be executed: ";
        write_all(2, missing, sizeof missing - 1);
        write_all(2, command[0], text_length(command[0]));
        write_all(2, "\n", 1);
    }
    sys_exit(code);
}

/* Reap what has ended. Returns 1 once the command has, 2 where no process is left, and keeps the largest resident set. */
static int reap(int child, int *status, i64 *largest)
{
    struct rusage usage;
    int ended, its_status, state = 0;
    for (;;) {
        ended = (int)sys_wait4(-1, &its_status, WNOHANG | WALL, &usage);
        if (ended == -ECHILD)
            return 2;
        if (ended <= 0)
            return state;
        if (usage.maxrss > *largest)
            *largest = usage.maxrss;
        if (ended == child) {
            *status = its_status;
            state = 1;
        }
    }
}

/* Wait for the command, and hand on to it the signals that come to us. */
static void wait_for(int child, int *status, i64 *largest)
{
    int signal;
    *status = -1;
    while (reap(child, status, largest) == 0 && *status < 0) {
        signal = (int)SYS_4(NR_rt_sigtimedwait, &ALL_SIGNALS, 0, 0, sizeof ALL_SIGNALS);
        if (signal > 0 && signal != SIGCHLD)
            sys_kill(child, signal);
    }
}

/* Kill all others; 0 where one of them does not end. */
static int kill_others(int *status, i64 *largest)
{
    i64 begin = now_ms();
    while (reap(0, status, largest) != 2) {
        if (now_ms() - begin > MOST_WAIT_MS)
            return 0;
        sys_kill(-1, SIGKILL);
        sys_sleep_ns(200000);
    }
    return 1;
}

/* Write it all, even if the command has made the pipe, which it shared with us, one that does not block. */
static void say(const char *data, u64 size)
{
    struct pollfd ready = {2, POLLOUT, 0};
    long written;
    while (size) {
        written = sys_write(2, data, size);
        if (written > 0) {
            data += written;
            size -= (u64)written;
        } else if (written == -EAGAIN) {
            SYS_5(NR_ppoll, &ready, 1, 0, 0, 0);
        } else if (written != -EINTR) {
            return;
        }
    }
}

/* The nonce, and little-endian numbers of 64 bits: the command's exit code or -1, its signal or 0, nanoseconds of CPU
 * time in all, in user and in system mode as the control group counts them, the largest process and the whole control
 * group in bytes, processes, bytes read and written, and OOM kills. -1: the kernel does not say. */
static void report(const char *nonce, int status, i64 largest, struct figures a, struct figures b)
{
    static struct { char nonce[NONCE]; i64 field[FIELDS + 1]; } r;
    int signal = status & 0x7f;
    memcpy(r.nonce, nonce, NONCE);
    r.field[0] = signal ? -1 : (status >> 8) & 0xff;
    r.field[1] = signal;
    r.field[2] = since(a.cpu, b.cpu);
    r.field[3] = since(a.user, b.user);
    r.field[4] = since(a.system, b.system);
    r.field[5] = largest * 1024;
    r.field[6] = peak(a.memory, b.memory);
    r.field[7] = peak(a.pids, b.pids);
    r.field[8] = since(a.read, b.read);
    r.field[9] = since(a.written, b.written);
    r.field[10] = since(a.oom, b.oom);
    say((const char *)&r, sizeof r);
}

int run(char **command, char **envp)
{
    static char nonce[NONCE];
    struct files files;
    struct figures before;
    int child, status = -1, is_told;
    i64 largest = 0;
    SYS_5(NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    is_told = take_nonce(envp, nonce);
    if (!command[0])
        return EXIT_USAGE;
    SYS_4(NR_rt_sigprocmask, SIG_SETMASK, &ALL_SIGNALS, 0, sizeof ALL_SIGNALS);
    files = open_files();
    before = read_figures(&files);
    child = start(command, envp);
    if (child < 0)
        return 126;
    wait_for(child, &status, &largest);
    if (kill_others(&status, &largest) && is_told)
        report(nonce, status, largest, before, read_figures(&files));
    return status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}
