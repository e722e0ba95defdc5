"""The commands for sandboxes and their options: ``sandbox``, ``exec``, ``cp``, ``sandboxes`` (pure)."""

from . import run_options, values
from .commands import Commands, add_quiet


def add_sandboxes(commands: Commands) -> None:
    """Add them."""
    sandbox = commands.add(
        "sandbox",
        "hold a container for any number of commands",
        """
        Prints the sandbox's id once commands can be run in it, and then stays in the
        foreground. Ctrl-C, SIGTERM and SIGHUP end it: its commands are killed, and
        nothing of it is left on the daemon. --timeout is its whole time.

        Only your user can use it, through a socket in the state folder.
        """,
        """
        lightrunner sandbox python:3.12-alpine --network none
        lightrunner sandbox alpine --dir ./project --timeout 2h --memory 1g
        lightrunner sandbox node:22-alpine --expose 3000
        """,
        usage="%(prog)s IMAGE [options]",
    )
    run_options.add_image(sandbox)
    sandbox.add_argument(
        "--expose",
        metavar="PORT",
        type=values.port,
        action="append",
        default=[],
        help="a TCP port of the sandbox that this host shall reach; the address is printed behind the id",
    )
    add_quiet(sandbox)
    run_options.add_sandbox_files(sandbox)
    run_options.add_limits(sandbox, of_run=False)
    run_options.add_identity(sandbox, of_run=False)

    exec_ = commands.add(
        "exec",
        "run a command in a sandbox",
        """
        stdin is passed to the command, its stdout and stderr are passed on byte for byte,
        and its exit code is this command's. When this ends, every process that the
        command started has ended. Ctrl-C kills them; the sandbox stays.
        """,
        """
        lightrunner exec 3f2a -- python main.py
        lightrunner exec 3f2a -c 'ls | wc -l'
        cat data.csv | lightrunner exec 3f2a --timeout 10 -- wc -l
        lightrunner exec 3f2a -it -- sh
        """,
        usage="%(prog)s ID [options] -- COMMAND ...",
        json=False,
        host=False,
    )
    exec_.add_argument(
        "sandbox_id", metavar="ID", help="the sandbox's id, or the beginning of it that no other sandbox has"
    )
    run_options.add_shell(exec_)
    run_options.add_env(exec_.add_argument)
    exec_.add_argument(
        "-w", "--workdir", metavar="PATH", help="the working directory; a relative one starts at the sandbox's"
    )
    run_options.add_user(exec_.add_argument, "the sandbox's")
    exec_.add_argument(
        "--timeout", metavar="DURATION", type=values.limit, help="kill it after 90, 5m, 2h, … (default: never)"
    )
    exec_.add_argument(
        "-i", "--interactive", action="store_true", help="for those who type -it: stdin is passed on without it, too"
    )
    exec_.add_argument(
        "-t", "--tty", action="store_true", help="give it a terminal like this one: all of its output is then stdout"
    )

    cp = commands.add(
        "cp",
        "copy files and folders into a sandbox or out of it",
        """
        A folder's contents land in the target, which is a folder and is made where it is
        missing. A file lands in the target if that is a folder or ends with a slash, else
        under the target's name. What is left out of a folder is as for `run --dir`.

        A path of this host that has a colon needs ./ in front.
        """,
        """
        lightrunner cp main.py 3f2a:/app/
        lightrunner cp ./project 3f2a:.
        lightrunner cp 3f2a:result.json ./result.json
        lightrunner cp 3f2a:/app ./out
        """,
        json=False,
        host=False,
    )
    cp.add_argument("source", metavar="SOURCE", type=values.place, help="PATH, or ID:PATH in a sandbox")
    cp.add_argument("target", metavar="TARGET", type=values.place, help="ID:PATH in a sandbox, or PATH")
    run_options.add_user(cp.add_argument, "the sandbox's")

    sandboxes = commands.add(
        "sandboxes",
        "list the sandboxes that are held on this host",
        "Removes the sockets of holders that were killed; `reap` removes their containers.",
        """
        lightrunner sandboxes
        lightrunner exec $(lightrunner sandboxes --quiet) -- ps
        """,
        host=False,
    )
    sandboxes.add_argument("-q", "--quiet", action="store_true", help="print ids only")
