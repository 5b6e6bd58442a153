"""The street: attention as people write it, with the right verdicts.

- `cases`: one file for each kind of fault that the judge once had.
- `seen` and `unseen`: implementations in the styles that people use, right
  ones and wrong ones, parted by lot (seed 15). While the judge is worked
  on, only what is seen may be looked at; the rest says how it does on
  files that it was not made for.
- `truth`: the formula, how each file wants to be asked, and what mends
  each wrong one.
- `dresses`: the bugs of the zoo, written as others would write them.

In each folder `expected.csv` names the file, what is judged in it, the
verdict and why. No verdict comes from the judge: `test_street_truth` holds
each file against PyTorch's own attention, and each wrong one is right once
its fault is mended.
"""
