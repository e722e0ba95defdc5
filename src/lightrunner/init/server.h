/* What the parts of the server share. The protocol is described in sandbox/protocol.py, which speaks it. */
#ifndef LIGHTRUNNER_SERVER_H
#define LIGHTRUNNER_SERVER_H

#include "modes.h"

enum {
    PROTOCOL_VERSION = 1,
    MAX_PAYLOAD = 1 << 20,       /* Of a frame from the host. */
    MAX_DATA = 1 << 16,          /* Of a frame to the host: a pipe's size. */
    INPUT_WINDOW = 1 << 16,      /* Bytes of a channel's input that the host may send ahead. */
    MAX_CHANNELS = 256,
    KILL_TIMEOUT_MS = 5000,      /* From the first kill to the last process's end. */
    TTY_SILENCE_MS = 200,        /* A terminal whose processes are gone, but which somebody else holds. */
};

/* Frames from the host. */
enum { SPAWN = 1, CONNECT, INPUT, INPUT_END, SIGNAL, KILL, RESIZE, CREDIT };
/* Frames to the host. */
enum { HELLO = 65, STARTED, OUTPUT, OUTPUT_END, INPUT_CREDIT, INPUT_CLOSED, EXIT, FATAL };

enum { SPAWN_INPUT = 1, SPAWN_TTY = 2, SPAWN_BACKGROUND = 4 };
enum { EXIT_ENDED, EXIT_FAILED, EXIT_STUCK };
enum { EXIT_WAS_KILLED = 1, EXIT_LOST = 2, EXIT_LEFTOVERS = 4, EXIT_OOM = 8 };
/* What failed where a command did not start. */
enum { STAGE_RESOURCES = 1, STAGE_USER, STAGE_WORKDIR, STAGE_EXEC, STAGE_TTY, STAGE_CONNECT };

struct header { u8 kind, stream; u16 zero; u32 id, length; };
struct spawn { u32 flags; u16 rows, columns; u32 credit[2]; u32 argc, envc; }; /* Then NUL-terminated strings. */
struct exit_report { u32 kind; i32 status; u32 flags, max_rss_kib; u64 utime_us, stime_us, duration_us; };

/* From a supervisor to the server, in one write each. */
enum { REPORT_STARTED = 1, REPORT_FAILED, REPORT_EXIT };
struct report { u32 kind; i32 a, b; u32 zero; struct rusage usage; };

struct stream {
    int fd;         /* -1: closed, and the host knows. */
    u32 credit;     /* Bytes that the host takes. */
    i64 left;       /* Bytes until the end; -1: not known yet. */
    i64 end_at;     /* Of a terminal: when silence means the end; 0: not yet. */
    int ended;      /* The host knows of its end. */
    int discarding; /* Nobody listens: background processes must neither block nor die of it. */
};

enum { FREE, COMMAND, CONNECTING, CONNECTION };
enum { NOT_KILLING, KILLING, CHECKING };

struct channel {
    int kind;
    u32 id;
    int supervisor, supervisor_status, pid, status_fd; /* The supervisor is 0 once it was reaped. */
    int input_fd, input_ended, is_tty, is_background;
    u8 *input;
    u32 input_start, input_size;
    struct stream output[2];
    int killing, was_killed, is_lost, had_leftovers, has_exited, is_reported, clean_passes;
    int failed_stage, failed_errno, status;
    i64 kill_deadline, checked_at, started_us;
    u64 oom_kills;
    struct rusage usage;
};

extern struct channel channels[MAX_CHANNELS];

/* server.c */
void send_frame(int kind, int stream, u32 id, const void *data, u32 length);
void channel_exit(struct channel *channel, int kind);
i64 now_us(void);

/* spawn.c */
int spawn(struct channel *channel, const u8 *payload, u32 length, char **envp);

/* user.c */
struct user { u32 uid, gid, groups[64]; int group_count; const char *home; };
int find_user(const char *name, struct user *user);

/* kill.c */
void kill_channel(struct channel *channel);
void kill_tick(void);
int kill_is_under_way(void);
int kill_holds_input(void);
void reap(void);

#endif
