"""`lightrunner serve`: runs over HTTP, for programs in other languages. Needs the extra ``lightrunner[serve]``.

server.py    bind a socket, serve connections, end them: start reading here
app.py       the routes and their handlers        asgi.py      requests and responses of HTTP
service.py   the runs: admit, queue, keep, forget    run.py    one run, from its admission on
messages.py  the JSON bodies, and their checks (pure)
policy.py    what clients may ask for (pure)
backlog.py   a run's output, kept for a while     events.py    server-sent events (pure)
files.py     folders for uploaded and extracted files
problems.py  errors and their statuses (pure)     openapi.py   the description of all that (pure)
"""
