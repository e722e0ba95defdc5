/* Process 1 of a sandbox. It takes orders from the host on stdin, and answers on stdout, in frames.
 *
 * Nothing in the container outranks it: process 1 of a pid namespace ignores signals from inside, and an undumpable
 * process cannot be traced, nor its files be opened by way of /proc, without CAP_SYS_PTRACE, which containers lack.
 * Commands get pipes of their own and never its stdout. Where the host goes away stdin ends, and with this process
 * the kernel ends the whole container. */
#include "server.h"

struct channel channels[MAX_CHANNELS];

static u8 received[sizeof(struct header) + MAX_PAYLOAD];
static u64 received_size;
static u8 data[MAX_DATA];
static struct pollfd polled[1 + 4 * MAX_CHANNELS];
static int oom_fd;
static char **server_environment;

i64 now_us(void)
{
    struct timespec t = {0, 0};
    SYS_2(NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.sec * 1000000 + t.nsec / 1000;
}

void send_frame(int kind, int stream, u32 id, const void *payload, u32 length)
{
    struct header header = {(u8)kind, (u8)stream, 0, id, length};
    struct iovec parts[2] = {{&header, sizeof header}, {payload, length}};
    long sent = SYS_3(NR_writev, 1, parts, length ? 2 : 1);
    if (sent < 0)
        sys_exit(1);
    u64 at = (u64)sent;
    if (at < sizeof header) {
        if (write_all(1, (u8 *)&header + at, sizeof header - at) < 0)
            sys_exit(1);
        at = sizeof header;
    }
    at -= sizeof header;
    if (write_all(1, (const u8 *)payload + at, length - at) < 0)
        sys_exit(1);
}

static void __attribute__((noreturn)) fatal(const char *why)
{
    send_frame(FATAL, 0, 0, why, (u32)text_length(why));
    sys_exit(70); /* BSD's EX_SOFTWARE */
}

/* How many processes of the container the kernel has killed for its memory limit, by cgroup v1 or v2. */
static u64 oom_kills(void)
{
    char text[512];
    long size = oom_fd < 0 ? -1 : SYS_4(NR_pread64, oom_fd, text, sizeof text - 1, 0);
    if (size <= 0)
        return 0;
    text[size] = 0;
    for (char *at = text; *at; at++)
        if ((at == text || at[-1] == '\n') && text_starts(at, "oom_kill ")) {
            u64 count = 0;
            for (at += 9; *at >= '0' && *at <= '9'; at++)
                count = count * 10 + (u64)(*at - '0');
            return count;
        }
    return 0;
}

static struct channel *find(u32 id)
{
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at->kind != FREE && at->id == id)
            return at;
    return 0;
}

static struct channel *open_channel(int kind, u32 id)
{
    if (find(id))
        fatal("an id was used twice");
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at->kind == FREE) {
            memset(at, 0, sizeof *at);
            at->kind = kind;
            at->id = id;
            at->status_fd = at->input_fd = at->output[0].fd = at->output[1].fd = -1;
            at->output[0].left = at->output[1].left = -1;
            at->started_us = now_us();
            at->oom_kills = oom_kills();
            return at;
        }
    return 0;
}

static void end_stream(struct channel *channel, int index)
{
    struct stream *stream = &channel->output[index];
    if (stream->fd >= 0)
        sys_close(stream->fd);
    stream->fd = -1;
    if (!stream->ended)
        send_frame(OUTPUT_END, index + 1, channel->id, 0, 0);
    stream->ended = 1;
}

static void close_input(struct channel *channel)
{
    if (channel->input_fd >= 0)
        sys_close(channel->input_fd);
    channel->input_fd = -1;
    if (channel->input)
        SYS_2(NR_munmap, channel->input, INPUT_WINDOW);
    channel->input = 0;
    channel->input_size = 0;
}

static void free_if_over(struct channel *channel)
{
    if (channel->is_reported && channel->status_fd < 0 && channel->output[0].fd < 0 && channel->output[1].fd < 0) {
        close_input(channel);
        channel->kind = FREE;
    }
}

/* End what has nothing more to come, though its other end may be held open. */
static void end_streams(struct channel *channel, i64 now)
{
    for (int index = 0; index < 2; index++) {
        struct stream *stream = &channel->output[index];
        if (stream->discarding && !channel->supervisor)
            end_stream(channel, index); /* Whoever holds its other end is none of the command's processes. */
        if (stream->fd < 0 || stream->discarding)
            continue;
        if (stream->left && !(stream->end_at && now >= stream->end_at && stream->credit))
            continue;
        if (channel->is_background && channel->supervisor) {
            send_frame(OUTPUT_END, index + 1, channel->id, 0, 0);
            stream->ended = stream->discarding = 1;
        } else {
            end_stream(channel, index);
        }
    }
    free_if_over(channel);
}

/* Report the end of a command or a connection. What its pipes hold by now still follows, and nothing else: another
 * process may hold their other ends for ever. */
void channel_exit(struct channel *channel, int kind)
{
    struct exit_report report = {.kind = (u32)kind};
    if (!channel->is_reported) {
        channel->is_reported = 1;
        report.status = channel->has_exited ? channel->status : SIGKILL;
        if (kind == EXIT_FAILED)
            report.status = channel->failed_stage << 16 | channel->failed_errno;
        report.flags = (channel->was_killed ? EXIT_WAS_KILLED : 0) | (channel->is_lost ? EXIT_LOST : 0) |
                       (channel->had_leftovers ? EXIT_LEFTOVERS : 0) |
                       (oom_kills() > channel->oom_kills ? EXIT_OOM : 0);
        report.max_rss_kib = (u32)channel->usage.maxrss;
        report.utime_us = (u64)(channel->usage.utime_sec * 1000000 + channel->usage.utime_usec);
        report.stime_us = (u64)(channel->usage.stime_sec * 1000000 + channel->usage.stime_usec);
        report.duration_us = (u64)(now_us() - channel->started_us);
        send_frame(EXIT, 0, channel->id, &report, sizeof report);
        if (!channel->is_background || kind != EXIT_ENDED)
            close_input(channel);
        for (int index = 0; index < 2; index++) {
            struct stream *stream = &channel->output[index];
            int left = 0;
            if (stream->fd < 0) {
                end_stream(channel, index);
                continue;
            }
            if (channel->is_tty) {
                stream->end_at = now_ms() + TTY_SILENCE_MS;
                continue;
            }
            if (channel->kind != COMMAND)
                continue;
            SYS_3(NR_ioctl, stream->fd, FIONREAD, &left);
            stream->left = left;
        }
    }
    end_streams(channel, now_ms());
}

/* --- orders of the host ------------------------------------------------------------------------------------------ */

static void fail(struct channel *channel, int stage, long error)
{
    channel->failed_stage = stage;
    channel->failed_errno = (int)-error;
    channel_exit(channel, EXIT_FAILED);
}

/* Answer an order that no channel is left for. */
static void refuse(u32 id, int streams)
{
    struct exit_report report = {.kind = EXIT_FAILED, .status = STAGE_RESOURCES << 16 | EAGAIN};
    send_frame(EXIT, 0, id, &report, sizeof report);
    for (int index = 0; index < streams; index++)
        send_frame(OUTPUT_END, index + 1, id, 0, 0);
}

static void order_connect(u32 id, const u8 *payload, u32 length)
{
    struct channel *channel = open_channel(CONNECTING, id);
    struct sockaddr_in address = {AF_INET, 0, 0x0100007f, {0}}; /* 127.0.0.1 in the network's order */
    u32 fields[2];
    if (length != sizeof fields)
        fatal("a connect of another size");
    memcpy(fields, payload, sizeof fields);
    if (!channel) {
        refuse(id, 1);
        return;
    }
    channel->output[1].ended = 1;
    address.port = (u16)((fields[0] & 0xff) << 8 | (fields[0] >> 8 & 0xff));
    channel->output[0].credit = fields[1];
    long fd = SYS_3(NR_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail(channel, STAGE_CONNECT, fd);
        return;
    }
    channel->output[0].fd = (int)fd;
    long error = SYS_3(NR_connect, fd, &address, sizeof address);
    if (error < 0 && error != -EINPROGRESS) {
        sys_close((int)fd);
        channel->output[0].fd = -1;
        fail(channel, STAGE_CONNECT, error);
    }
}

static void finish_connect(struct channel *channel)
{
    int error = 0, size = sizeof error;
    SYS_5(NR_getsockopt, channel->output[0].fd, SOL_SOCKET, SO_ERROR, &error, &size);
    channel->kind = CONNECTION;
    if (!error) {
        channel->input_fd = (int)SYS_3(NR_fcntl, channel->output[0].fd, 1030 /* F_DUPFD_CLOEXEC */, 3);
        if (channel->input_fd < 0)
            error = -channel->input_fd;
    }
    if (error) {
        sys_close(channel->output[0].fd);
        channel->output[0].fd = -1;
        fail(channel, STAGE_CONNECT, -error);
        return;
    }
    send_frame(STARTED, 0, channel->id, 0, 0);
}

static void order_spawn(u32 id, const u8 *payload, u32 length)
{
    struct channel *channel = open_channel(COMMAND, id);
    if (!channel) {
        struct spawn head;
        memcpy(&head, payload, length < sizeof head ? length : sizeof head);
        refuse(id, length >= sizeof head && head.flags & SPAWN_TTY ? 1 : 2);
    } else if (!spawn(channel, payload, length, server_environment)) {
        fatal("a spawn that is none");
    }
}

static void order_input(struct channel *channel, const u8 *payload, u32 length)
{
    if (channel->input_fd < 0) {
        send_frame(INPUT_CREDIT, 0, channel->id, &length, sizeof length);
        return;
    }
    if (!channel->input) {
        long mapped = syscall6(NR_mmap, 0, INPUT_WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped < 0 && mapped > -4096)
            fatal("no memory for input");
        channel->input = (u8 *)mapped;
    }
    if (length > INPUT_WINDOW - channel->input_size)
        fatal("more input than the window holds");
    for (u32 at = 0; at < length;) {
        u32 end = (channel->input_start + channel->input_size) % INPUT_WINDOW;
        u32 room = INPUT_WINDOW - end, part = length - at < room ? length - at : room;
        memcpy(channel->input + end, payload + at, part);
        channel->input_size += part;
        at += part;
    }
}

static void end_input(struct channel *channel)
{
    if (channel->kind == CONNECTION)
        SYS_2(NR_shutdown, channel->input_fd, SHUT_WR);
    if (channel->is_tty) {
        static const char end = 4; /* ^D: an end of file to who reads lines. */
        sys_write(channel->input_fd, &end, 1);
        return;
    }
    close_input(channel);
}

static void write_input(struct channel *channel)
{
    while (channel->input_size) {
        u32 part = INPUT_WINDOW - channel->input_start;
        if (part > channel->input_size)
            part = channel->input_size;
        long written = sys_write(channel->input_fd, channel->input + channel->input_start, part);
        if (written == -EAGAIN || written == -EINTR)
            return;
        if (written < 0) {
            u32 lost = channel->input_size;
            close_input(channel);
            send_frame(INPUT_CREDIT, 0, channel->id, &lost, sizeof lost);
            send_frame(INPUT_CLOSED, 0, channel->id, 0, 0);
            return;
        }
        u32 count = (u32)written;
        channel->input_start = (channel->input_start + count) % INPUT_WINDOW;
        channel->input_size -= count;
        send_frame(INPUT_CREDIT, 0, channel->id, &count, sizeof count);
    }
    if (channel->input_ended)
        end_input(channel);
}

static void order_kill(struct channel *channel)
{
    if (channel->kind == COMMAND) {
        if (channel->supervisor || !channel->is_reported) {
            channel->was_killed |= !channel->has_exited;
            kill_channel(channel);
        }
        return;
    }
    close_input(channel);
    if (channel->output[0].fd >= 0)
        end_stream(channel, 0);
    channel_exit(channel, EXIT_ENDED);
}

static void obey(const struct header *header, const u8 *payload)
{
    struct channel *channel;
    struct winsize size = {0, 0, 0, 0};
    u32 value = 0;
    if (header->kind == SPAWN) {
        order_spawn(header->id, payload, header->length);
        return;
    }
    if (header->kind == CONNECT) {
        order_connect(header->id, payload, header->length);
        return;
    }
    if (header->kind > CREDIT)
        fatal("an unknown order");
    channel = find(header->id);
    if (!channel)
        return; /* It has ended while the order was on its way. */
    if (header->length >= sizeof value)
        memcpy(&value, payload, sizeof value);
    switch (header->kind) {
    case INPUT:
        order_input(channel, payload, header->length);
        if (channel->input_fd >= 0)
            write_input(channel);
        break;
    case INPUT_END:
        channel->input_ended = 1;
        if (channel->input_fd >= 0 && !channel->input_size)
            end_input(channel);
        break;
    case SIGNAL:
        if (channel->kind == COMMAND && channel->pid && !channel->has_exited)
            sys_kill(channel->pid, (int)value);
        break;
    case KILL:
        order_kill(channel);
        break;
    case RESIZE:
        size.rows = (u16)value;
        size.columns = (u16)(value >> 16);
        if (channel->is_tty && channel->output[0].fd >= 0)
            SYS_3(NR_ioctl, channel->output[0].fd, TIOCSWINSZ, &size);
        break;
    case CREDIT:
        if (header->stream < 1 || header->stream > 2 || value > 0xffffffffu - channel->output[header->stream - 1].credit)
            fatal("a credit that is none");
        channel->output[header->stream - 1].credit += value;
        break;
    default:
        fatal("an unknown order");
    }
}

static void obey_received(void)
{
    struct header header;
    u64 at = 0;
    while (received_size - at >= sizeof header && !kill_holds_input()) {
        memcpy(&header, received + at, sizeof header);
        if (header.length > MAX_PAYLOAD || header.zero)
            fatal("not a frame");
        if (received_size - at - sizeof header < header.length)
            break;
        obey(&header, received + at + sizeof header);
        at += sizeof header + header.length;
    }
    received_size -= at;
    memmove(received, received + at, received_size);
}

static void receive(void)
{
    long size = sys_read(0, received + received_size, sizeof received - received_size);
    if (size == -EINTR || size == -EAGAIN)
        return;
    if (size <= 0)
        sys_exit(0); /* The host has gone: so does the container. */
    received_size += (u64)size;
    obey_received();
}

/* --- what commands and connections do ---------------------------------------------------------------------------- */

static void read_stream(struct channel *channel, int index, int revents)
{
    struct stream *stream = &channel->output[index];
    u64 size = sizeof data;
    if (!stream->discarding) {
        if (stream->left >= 0 && (u64)stream->left < size)
            size = (u64)stream->left;
        if (size > stream->credit)
            size = stream->credit;
    }
    if (!size)
        return;
    long got = sys_read(stream->fd, data, size);
    if (got == -EINTR || (got == -EAGAIN && !(revents & POLLHUP)))
        return;
    if (got <= 0) {
        end_stream(channel, index);
        if (channel->kind == CONNECTION && channel->input_fd < 0)
            channel_exit(channel, EXIT_ENDED);
    } else if (!stream->discarding) {
        send_frame(OUTPUT, index + 1, channel->id, data, (u32)got);
        stream->credit -= (u32)got;
        if (stream->left > 0)
            stream->left -= got;
        if (stream->end_at)
            stream->end_at = now_ms() + TTY_SILENCE_MS;
    }
    free_if_over(channel);
}

static void lose_supervisor(struct channel *channel)
{
    int status = 0;
    if (channel->status_fd >= 0)
        sys_close(channel->status_fd);
    channel->status_fd = -1;
    if (!channel->supervisor || sys_wait4(channel->supervisor, &status, WALL, 0) < 0)
        status = channel->supervisor_status;
    channel->supervisor = 0;
    if (!status) {
        /* It has seen that nothing is left. */
        channel->killing = NOT_KILLING;
        channel_exit(channel, channel->failed_stage ? EXIT_FAILED : EXIT_ENDED);
        return;
    }
    if (!channel->killing) {
        channel->is_lost = 1;
        kill_channel(channel);
    }
}

static void read_report(struct channel *channel)
{
    struct report report;
    long size = sys_read(channel->status_fd, &report, sizeof report);
    if (size == -EINTR)
        return;
    if (size != (long)sizeof report) {
        lose_supervisor(channel);
        return;
    }
    switch (report.kind) {
    case REPORT_STARTED: {
        u32 pid = (u32)report.a;
        channel->pid = report.a;
        send_frame(STARTED, 0, channel->id, &pid, sizeof pid);
        break;
    }
    case REPORT_FAILED:
        channel->failed_stage = report.a;
        channel->failed_errno = report.b;
        break;
    case REPORT_EXIT:
        if (channel->failed_stage)
            break;
        channel->has_exited = 1;
        channel->status = report.a;
        channel->usage = report.usage;
        if (channel->is_background && !channel->was_killed) {
            channel_exit(channel, EXIT_ENDED);
        } else if (report.b) {
            channel->had_leftovers = 1;
            kill_channel(channel);
        }
        break;
    }
}

static struct pollfd *add(struct pollfd *at, int fd, int events)
{
    at->fd = fd;
    at->events = (u16)events;
    at->revents = 0;
    return at + 1;
}

/* The four files of a channel, each -1 where there is nothing to wait for. */
static struct pollfd *add_channel(struct pollfd *at, struct channel *channel)
{
    at = add(at, channel->status_fd, POLLIN);
    int has_input = channel->input_fd >= 0 && channel->input_size;
    at = add(at, has_input ? channel->input_fd : -1, POLLOUT);
    for (int index = 0; index < 2; index++) {
        struct stream *stream = &channel->output[index];
        int wanted = stream->discarding || stream->credit;
        int is_connecting = channel->kind == CONNECTING;
        at = add(at, wanted || is_connecting ? stream->fd : -1, is_connecting ? POLLOUT : POLLIN);
    }
    return at;
}

static void wait_for_work(void)
{
    struct timespec timeout = {0, 0};
    int has_deadline = 0;
    kill_tick();
    obey_received(); /* What had to wait for a kill. */
    struct pollfd *end = add(polled, kill_holds_input() ? -1 : 0, POLLIN);
    for (struct channel *at = channels; at < channels + MAX_CHANNELS; at++)
        if (at->kind != FREE) {
            end = add_channel(end, at);
            has_deadline |= at->output[0].end_at != 0;
        }
    if (kill_is_under_way())
        timeout.nsec = 1000000;
    else if (has_deadline)
        timeout.nsec = 20000000;
    SYS_5(NR_ppoll, polled, end - polled, timeout.nsec ? &timeout : 0, 0, 0);
}

int serve(char **envp)
{
    u32 version = PROTOCOL_VERSION;
    struct sigaction ignore = {(void (*)(int))1, 0, 0, 0};
    server_environment = envp;
    SYS_4(NR_rt_sigaction, SIGPIPE, &ignore, 0, sizeof ignore.mask);
    if (SYS_5(NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return 70;
    oom_fd = (int)sys_open("/sys/fs/cgroup/memory.events", O_RDONLY | O_CLOEXEC, 0);
    if (oom_fd < 0)
        oom_fd = (int)sys_open("/sys/fs/cgroup/memory/memory.oom_control", O_RDONLY | O_CLOEXEC, 0);
    send_frame(HELLO, 0, 0, &version, sizeof version);
    for (;;) {
        wait_for_work();
        struct pollfd *at = polled + 1;
        for (struct channel *channel = channels; channel < channels + MAX_CHANNELS; channel++) {
            if (channel->kind == FREE)
                continue;
            struct pollfd *files = at;
            at += 4;
            if (channel->kind == CONNECTING) {
                if (files[2].revents)
                    finish_connect(channel);
                continue;
            }
            if (files[1].revents && channel->input_fd == files[1].fd)
                write_input(channel);
            for (int index = 0; index < 2; index++)
                if (files[2 + index].revents && channel->output[index].fd == files[2 + index].fd)
                    read_stream(channel, index, files[2 + index].revents);
            if (channel->kind != FREE && files[0].revents && channel->status_fd == files[0].fd)
                read_report(channel);
            if (channel->kind == COMMAND)
                end_streams(channel, now_ms());
            else if (channel->kind == CONNECTION && channel->output[0].fd < 0 && channel->input_fd < 0)
                channel_exit(channel, EXIT_ENDED);
        }
        reap();
        /* Last: an order may open a channel, which was not polled. */
        if (polled[0].revents)
            receive();
    }
}
