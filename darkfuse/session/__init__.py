"""One process's run of one network, from a budget to boxes.

::

    budget ─▶ choose ─▶ network        whatif     what other budgets would buy
    what the  which      load, detect  calibrate  the rates of this machine, measured
    process   plan       and forward
    may take             batches: many pictures

Start reading at `network.load`.
"""
