/* Start a command: server -> supervisor -> command.
 *
 * The supervisor is a child subreaper: whatever the command starts stays below it, double-forked processes and those
 * in sessions of their own included. It waits for the command, tells the server of its exit, and lives until nothing
 * is left below it. It executes no program, so that it stays as undumpable as the server is. */
#include "server.h"

enum { MAX_ENTRIES = 8192 };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static char *arguments[MAX_ENTRIES + 1];
static char *environment[2 * MAX_ENTRIES + 2];

struct order {
    struct spawn head;
    const char *user, *workdir;
    char **base;
};

/* Check the payload and find its strings; 0 where it breaks the protocol. */
static int read_order(struct order *order, u8 *payload, u32 length)
{
    if (length < sizeof order->head || payload[length - 1])
        return 0;
    memcpy(&order->head, payload, sizeof order->head);
    u32 argc = order->head.argc, envc = order->head.envc;
    if (!argc || argc > MAX_ENTRIES || envc > MAX_ENTRIES)
        return 0;
    char *text = (char *)payload + sizeof order->head, *end = (char *)payload + length;
    for (u32 at = 0; at < argc + envc + 2; at++) {
        if (text >= end)
            return 0;
        if (at == 0)
            order->user = text;
        else if (at == 1)
            order->workdir = text;
        else if (at < argc + 2)
            arguments[at - 2] = text;
        else
            environment[at - argc - 2] = text;
        text += text_length(text) + 1;
    }
    arguments[argc] = 0;
    environment[envc] = 0;
    return text == end;
}

static int names_equal(const char *a, const char *b)
{
    while (*a && *a != '=' && *a == *b)
        a++, b++;
    return *a == *b && *a == '=';
}

static const char *variable(const char *name_and_equals)
{
    for (int at = 0; environment[at]; at++)
        if (text_starts(environment[at], name_and_equals))
            return environment[at] + text_length(name_and_equals);
    return 0;
}

/* The command's own variables, then the container's, then HOME of whom it runs as. */
static void complete_environment(u32 count, char **base, const char *home)
{
    static char home_entry[4096] = "HOME=";
    if (!variable("HOME=") && text_length(home) < sizeof home_entry - 6) {
        memcpy(home_entry + 5, home, text_length(home) + 1);
        environment[count++] = home_entry;
    }
    u32 given = count;
    for (; *base && count < 2 * MAX_ENTRIES; base++) {
        int is_set = 0;
        for (u32 at = 0; at < given && !is_set; at++)
            is_set = names_equal(environment[at], *base);
        if (!is_set)
            environment[count++] = *base;
    }
    environment[count] = 0;
}

static void die(int check, int stage, long error)
{
    i32 failure[2] = {stage, (i32)-error};
    write_all(check, failure, sizeof failure);
    sys_exit(127);
}

static long execute(void)
{
    static char path[4096 + 256];
    const char *folders = variable("PATH=");
    const char *name = arguments[0];
    u64 name_length = text_length(name);
    long error = -ENOENT;
    if (!*name)
        return -ENOENT;
    for (u64 at = 0; at < name_length; at++)
        if (name[at] == '/')
            return SYS_3(NR_execve, name, arguments, environment);
    if (name_length > 255)
        return -ENOENT;
    for (folders = folders ? folders : default_path;; folders++) {
        u64 length = 0;
        while (folders[length] && folders[length] != ':')
            length++;
        if (length && length < 4096) {
            memcpy(path, folders, length);
            path[length] = '/';
            memcpy(path + length + 1, name, name_length + 1);
            long result = SYS_3(NR_execve, path, arguments, environment);
            if (result != -ENOENT && result != -ENOTDIR)
                error = result;
            if (error != -ENOENT && error != -EACCES)
                return error;
        }
        folders += length;
        if (!*folders)
            return error;
    }
}

static void __attribute__((noreturn)) become_command(struct order *order, const int *fds, int check)
{
    static struct user user;
    u64 no_signals = 0;
    struct sigaction defaults = {0, 0, 0, 0};
    long error;
    SYS_1(NR_setsid, 0);
    for (int fd = 0; fd < 3; fd++)
        SYS_3(NR_dup3, fds[fd], fd, 0);
    if (order->head.flags & SPAWN_TTY && (error = SYS_3(NR_ioctl, 0, TIOCSCTTY, 0)) < 0)
        die(check, STAGE_TTY, error);
    /* At the memory limit the kernel kills commands before supervisors and the server. */
    int adjust = (int)sys_open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
    if (adjust >= 0) {
        sys_write(adjust, "500", 3);
        sys_close(adjust);
    }
    if ((error = find_user(order->user, &user)) < 0)
        die(check, STAGE_USER, error);
    if (order->head.flags & SPAWN_TTY)
        SYS_3(NR_fchown, 0, user.uid, user.gid);
    if ((error = SYS_2(NR_setgroups, user.group_count, user.groups)) < 0 || (error = SYS_1(NR_setgid, user.gid)) < 0 ||
        (error = SYS_1(NR_setuid, user.uid)) < 0)
        die(check, STAGE_USER, error);
    if ((error = SYS_1(NR_chdir, order->workdir)) < 0)
        die(check, STAGE_WORKDIR, error);
    complete_environment(order->head.envc, order->base, user.home);
    SYS_4(NR_rt_sigaction, SIGPIPE, &defaults, 0, sizeof defaults.mask);
    SYS_4(NR_rt_sigprocmask, SIG_SETMASK, &no_signals, 0, sizeof no_signals);
    die(check, STAGE_EXEC, execute());
    __builtin_unreachable();
}

static void tell(int status_fd, u32 kind, i32 a, i32 b, const struct rusage *usage)
{
    struct report report = {.kind = kind, .a = a, .b = b};
    if (usage)
        report.usage = *usage;
    write_all(status_fd, &report, sizeof report);
}

static void __attribute__((noreturn)) supervise(struct order *order, const int *fds, int null, int status_fd)
{
    int check[2] = {-1, -1};
    i32 failure[2];
    int status;
    struct rusage usage;
    /* Other commands' pipes: their ends must not stay open here. */
    for (struct channel *other = channels; other < channels + MAX_CHANNELS; other++)
        if (other->kind != FREE) {
            int held[] = {other->status_fd, other->input_fd, other->output[0].fd, other->output[1].fd};
            for (int at = 0; at < 4; at++)
                if (held[at] >= 0)
                    sys_close(held[at]);
        }
    for (int fd = 0; fd < 3; fd++)
        SYS_3(NR_dup3, null, fd, O_CLOEXEC);
    long error = SYS_2(NR_prctl, PR_SET_CHILD_SUBREAPER, 1);
    long pid = error < 0 ? error : SYS_2(NR_pipe2, check, O_CLOEXEC);
    if (pid >= 0)
        pid = sys_fork();
    if (pid < 0) {
        tell(status_fd, REPORT_FAILED, STAGE_RESOURCES, (i32)-pid, 0);
        sys_exit(0);
    }
    if (!pid)
        become_command(order, fds, check[1]);
    sys_close(check[1]);
    for (int fd = 0; fd < 3; fd++)
        sys_close(fds[fd]); /* The command's ends: one file may be named twice, which does no harm. */
    long got = sys_read(check[0], failure, sizeof failure);
    if (got == (long)sizeof failure)
        tell(status_fd, REPORT_FAILED, failure[0], failure[1], 0);
    else
        tell(status_fd, REPORT_STARTED, (i32)pid, 0, 0);
    sys_close(check[0]);
    for (;;) {
        long ended = sys_wait4(-1, &status, WALL, &usage);
        if (ended == -ECHILD)
            sys_exit(0);
        if (ended != pid)
            continue;
        int other;
        while ((ended = sys_wait4(-1, &other, WALL | WNOHANG, 0)) > 0)
            ;
        tell(status_fd, REPORT_EXIT, status, ended == 0, &usage);
    }
}

/* The other side of a pseudo-terminal. Not every gVisor has TIOCGPTPEER. */
static long open_peer(int master)
{
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    char path[32] = "/dev/pts/";
    u32 number = 0;
    long result = SYS_3(NR_ioctl, master, TIOCGPTPEER, flags);
    if (result != -ENOTTY)
        return result;
    if ((result = SYS_3(NR_ioctl, master, TIOCGPTN, &number)) < 0)
        return result;
    text_number(path + text_length(path), number);
    return sys_open(path, flags, 0);
}

static long open_terminal(struct channel *channel, const struct spawn *head, int *fds)
{
    int locked = 0;
    struct winsize size = {head->rows, head->columns, 0, 0};
    int master = (int)sys_open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0);
    if (master < 0)
        return master;
    channel->input_fd = master;
    long result = SYS_3(NR_ioctl, master, TIOCSPTLCK, &locked);
    if (result >= 0)
        result = open_peer(master);
    if (result < 0)
        return result;
    fds[0] = fds[1] = fds[2] = (int)result;
    SYS_3(NR_ioctl, master, TIOCSWINSZ, &size);
    result = SYS_3(NR_fcntl, master, 1030 /* F_DUPFD_CLOEXEC */, 3);
    channel->output[0].fd = (int)result;
    return result < 0 ? result : 0;
}

static long open_pipe(int *ours, int *theirs, int reading)
{
    int ends[2];
    long result = SYS_2(NR_pipe2, ends, O_CLOEXEC);
    if (result < 0)
        return result;
    *ours = ends[!reading];
    *theirs = ends[reading];
    return SYS_3(NR_fcntl, *ours, F_SETFL, O_NONBLOCK);
}

/* Start a command on a fresh channel; 0 where the payload breaks the protocol. What fails is reported as its exit. */
int spawn(struct channel *channel, const u8 *payload, u32 length, char **envp)
{
    struct order order;
    int status_pipe[2] = {-1, -1};
    int fds[3] = {-1, -1, -1};
    if (!read_order(&order, (u8 *)payload, length))
        return 0;
    order.base = envp;
    u32 flags = order.head.flags;
    channel->is_tty = channel->output[1].ended = !!(flags & SPAWN_TTY);
    channel->is_background = !!(flags & SPAWN_BACKGROUND);
    channel->output[0].credit = order.head.credit[0];
    channel->output[1].credit = order.head.credit[1];
    int null = (int)sys_open("/dev/null", O_RDWR | O_CLOEXEC, 0);
    long error = null < 0 ? null : SYS_2(NR_pipe2, status_pipe, O_CLOEXEC);
    if (error >= 0 && flags & SPAWN_TTY) {
        error = open_terminal(channel, &order.head, fds);
    } else if (error >= 0) {
        if (flags & SPAWN_INPUT)
            error = open_pipe(&channel->input_fd, &fds[0], 0);
        else
            fds[0] = null;
        if (error >= 0)
            error = open_pipe(&channel->output[0].fd, &fds[1], 1);
        if (error >= 0)
            error = open_pipe(&channel->output[1].fd, &fds[2], 1);
    }
    if (error >= 0)
        error = sys_fork();
    if (error == 0)
        supervise(&order, fds, null, status_pipe[1]);
    channel->supervisor = error > 0 ? (int)error : 0;
    channel->status_fd = status_pipe[0];
    if (status_pipe[1] >= 0)
        sys_close(status_pipe[1]);
    for (int at = 0; at < 3; at++)
        if (fds[at] >= 0 && fds[at] != null && (at == 0 || fds[at] != fds[0]))
            sys_close(fds[at]);
    if (null >= 0)
        sys_close(null);
    if (error < 0) {
        channel->failed_stage = flags & SPAWN_TTY && fds[0] < 0 ? STAGE_TTY : STAGE_RESOURCES;
        channel->failed_errno = (int)-error;
        channel_exit(channel, EXIT_FAILED);
    }
    return 1;
}
