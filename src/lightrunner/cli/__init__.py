"""The command ``lightrunner``.

Start with parser.py, which has every command and option (run_options.py: those of a run; server_options.py: those of a
server; sandbox_commands.py: those for sandboxes; commands.py: what each command has), and app.py, which runs a command
and turns its end into an exit status.
Pure: values.py and request.py make a request of the arguments, lookup.py finds a run by the beginning of its id,
tables.py makes JSON and tables of results, exits.py has the exit statuses. control.py has the commands for detached
runs, upkeep.py those for what is left over. runs.py has `run` and `attach`, diagnosis.py `doctor`, latency.py `bench`,
serve.py `serve`, mcp.py `mcp`, extras.py checks that what these need is installed, completion.py completes in shells.
stdio.py writes bytes as they are, terminal.py has the user's terminal, progress.py shows progress, signals.py waits for
Ctrl-C.
holding.py has `sandbox`, which serves boxes.py's `exec`, `cp` and `sandboxes` over a socket: messages.py is the
protocol (pure), sockets.py has the sockets, copying.py copies the files of `cp`.
"""
