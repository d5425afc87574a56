"""From the numbers a network ends with to labelled boxes on the image.

Decoding is plain Python on purpose: numpy would cost more memory than a small network needs. It stays fast by
looking at raw objectness first and finishing the arithmetic only for boxes that can pass the threshold.
"""
