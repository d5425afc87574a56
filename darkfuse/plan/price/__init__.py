"""What a plan costs on a device, in bytes and milliseconds, without running it.

::

    device ─▶ cost ─▶ timeline ─▶ predict
    rates     one     when        a whole
              op      weights     program
                      arrive

Start reading at `predict.predict`.
"""
