"""The bug zoo: wrong attention, of the kinds that really shipped.

Each animal is one short file that stands alone, reads well, and holds one
bug; its docstring says which, where it shipped, and the name of its cause.
A suite worth its name rejects them all, and accepts those in `right`. To
play "find the bug", cover the docstring.
"""
