"""The candidate's side: all that runs in the process of a judged file.

Nothing here knows what is right: inputs come in, raw outputs go out.
"""
