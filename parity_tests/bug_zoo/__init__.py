"""The bug zoo: wrong attention, of the kinds that really shipped.

Each bug is one short file that stands alone and reads well; its docstring
says what is wrong, where it shipped, and the name of its cause. A suite
worth its name rejects them all, and accepts those in `right`. To play
"find the bug", cover the docstring.
"""
