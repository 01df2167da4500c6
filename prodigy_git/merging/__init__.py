"""The work's way back: which branch is the result of which item, and how it comes where it belongs.

The rooms, from the ground up; each imports only what is below it:

- `results`: which branch is the result of which item, and what it changes
- `conflicts`: what merging would come to, before anything is merged
- `queue`: merging one result after the other, checked, and taking it back
- `publish`: the results as branches and requests on a forge
- `of_items`: how far each item of a job has come on its way
- `spent_branches`: branches that have done their work
"""
