/* Kill a command with all that it started, and know that nothing is left.
 *
 * If no other command runs, kill(-1) does it: the kernel signals every process but the caller under the lock that a
 * fork needs, and a fork under way fails, so that no fork bomb gets away.
 *
 * Otherwise the processes below the command's supervisor are found in /proc and killed, again and again. What forks
 * faster than /proc is read burns itself out: the supervisor is stopped and the server reaps nothing meanwhile, so
 * that whatever exits below them stays a zombie, and zombies count towards the container's limit of processes. With
 * every pass at least one more place is gone; without places nothing can fork.
 *
 * The proof of the end is the supervisor's: it exits when wait(2) says that it has no children, and a living
 * descendant would be its child or below one. Code that runs as root can kill the supervisor; what was below it then
 * comes to process 1, has no supervisor above it, and is killed as nobody's.
 *
 * A process id could be another process's by the time it is killed only if the ids went round in between, which are
 * 32,768 forks at least in a millisecond. */
#include "server.h"

enum { MAX_PROCESSES = 32768 };

struct process { int pid, parent; u8 is_alive, is_doomed; };

static struct process processes[MAX_PROCESSES];
static struct channel *killing_all;

static int is_supervisor(int pid)
{
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at->kind == COMMAND && at->supervisor == pid)
            return 1;
    return 0;
}

/* Read one /proc/PID/stat: "pid (name) state parent …", where the name may hold anything. */
static int read_process(const char *name, struct process *process)
{
    char path[64] = "/proc/", text[512];
    u64 length = text_length(name);
    memcpy(path + 6, name, length);
    memcpy(path + 6 + length, "/stat", 6);
    int fd = (int)sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long size = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    if (size <= 0)
        return 0;
    long at = size - 1;
    while (at > 0 && text[at] != ')')
        at--;
    if (at + 4 >= size)
        return 0;
    process->is_alive = text[at + 2] != 'Z' && text[at + 2] != 'X';
    process->parent = 0;
    for (long digit = at + 4; digit < size && text[digit] >= '0' && text[digit] <= '9'; digit++)
        process->parent = process->parent * 10 + text[digit] - '0';
    return 1;
}

static int read_processes(void)
{
    static char entries[1 << 15] __attribute__((aligned(8)));
    int count = 0;
    int folder = (int)sys_open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (folder < 0)
        return 0;
    for (long size; (size = SYS_3(NR_getdents64, folder, entries, sizeof entries)) > 0;)
        for (long at = 0; at < size;) {
            /* struct linux_dirent64: u64 inode, i64 offset, u16 length, u8 kind, the name. */
            const char *name = entries + at + 19;
            i64 pid = text_parse(name);
            at += *(u16 *)(entries + at + 16);
            if (pid <= 1 || count == MAX_PROCESSES || !read_process(name, &processes[count]))
                continue;
            processes[count].pid = (int)pid;
            processes[count++].is_doomed = 0;
        }
    sys_close(folder);
    return count;
}

/* Kill what is below a supervisor, or what is nobody's where it is 0; returns how many of them lived. */
static int kill_below(int supervisor)
{
    int count = read_processes(), alive = 0;
    for (int changed = 1; changed;) {
        changed = 0;
        for (struct process *at = processes; at < processes + count; at++) {
            if (at->is_doomed)
                continue;
            int is_doomed = supervisor ? at->parent == supervisor : at->parent == 1 && !is_supervisor(at->pid);
            for (struct process *parent = processes; !is_doomed && parent < processes + count; parent++)
                is_doomed = parent->is_doomed && parent->pid == at->parent;
            if (is_doomed)
                at->is_doomed = changed = 1;
        }
    }
    for (struct process *at = processes; at < processes + count; at++)
        if (at->is_doomed) {
            /* A zombie may be a thread group's leader whose other threads run on: it is killed as well. */
            sys_kill(at->pid, SIGKILL);
            alive += at->is_alive;
        }
    return alive;
}

static int is_sole(const struct channel *channel)
{
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at != channel && at->kind == COMMAND && at->supervisor)
            return 0;
    return 1;
}

/* Begin to kill a command's processes. */
void kill_channel(struct channel *channel)
{
    if (channel->killing)
        return;
    channel->killing = KILLING;
    channel->clean_passes = 0;
    channel->kill_deadline = now_ms() + KILL_TIMEOUT_MS;
    if (!killing_all && is_sole(channel))
        killing_all = channel;
}

/* Tell whether the host's orders have to wait: a command that started now would be killed as well. */
int kill_holds_input(void)
{
    return killing_all != 0;
}

/* Take the exit statuses of the server's own children: supervisors, and what was left of those that were killed. */
static int reap_all(void)
{
    int status;
    long pid;
    struct rusage usage;
    while ((pid = sys_wait4(-1, &status, WNOHANG | WALL, &usage)) > 0)
        for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++) {
            if (at->kind != COMMAND)
                continue;
            if (at->supervisor == pid) {
                at->supervisor = 0;
                at->supervisor_status = status;
            }
            if (at->pid == pid && !at->has_exited) {
                at->has_exited = 1;
                at->status = status;
                at->usage = usage;
            }
        }
    return pid == -ECHILD;
}

int kill_is_under_way(void)
{
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at->kind == COMMAND && at->killing)
            return 1;
    return 0;
}

void reap(void)
{
    if (!kill_is_under_way())
        reap_all();
}

static void finish(struct channel *channel)
{
    if (killing_all == channel)
        killing_all = 0;
    if (channel->status_fd >= 0)
        sys_close(channel->status_fd);
    channel->status_fd = -1;
    channel->killing = NOT_KILLING;
    channel_exit(channel, channel->failed_stage ? EXIT_FAILED : EXIT_ENDED);
}

static void tick(struct channel *channel, i64 now)
{
    if (channel == killing_all) {
        sys_kill(-1, SIGKILL);
        if (reap_all()) {
            finish(channel);
            return;
        }
    } else if (channel->supervisor) {
        if (channel->killing == CHECKING && now < channel->checked_at + 2)
            return;
        sys_kill(channel->supervisor, SIGSTOP);
        channel->killing = KILLING;
        if (!kill_below(channel->supervisor)) {
            /* Its exit tells whether that was all; the server notices it in its status pipe. */
            channel->killing = CHECKING;
            channel->checked_at = now;
            sys_kill(channel->supervisor, SIGCONT);
        }
    } else if (kill_below(0)) {
        channel->clean_passes = 0;
    } else if (++channel->clean_passes == 2) {
        reap_all();
        finish(channel);
        return;
    }
    if (now > channel->kill_deadline) {
        channel->killing = NOT_KILLING;
        channel_exit(channel, EXIT_STUCK);
    }
}

void kill_tick(void)
{
    i64 now = now_ms();
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at->kind == COMMAND && at->killing)
            tick(at, now);
}
