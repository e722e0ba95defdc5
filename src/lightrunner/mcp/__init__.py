"""`lightrunner mcp`: tools for agents, by the Model Context Protocol over stdio. Needs the extra ``lightrunner[mcp]``.

server.py     the protocol, over the process's stdin and stdout: start reading here
stdio.py      these two as streams that a signal interrupts
toolbox.py    the tools: run code, and what is done in sandboxes
sandboxes.py  the sandboxes of the session
arguments.py  names, descriptions and arguments of the tools (pure)
languages.py  languages, and their images and commands (pure)
replies.py    results as text for a language model, bounded (pure)
"""
