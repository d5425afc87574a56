"""Look-alikes of what programs that own Darknet models call today, so that they run by changing one line.

::

    fault ─▶ layers ─▶ net ─▶ models ─▶ dnn          cv2.dnn, call by call     (public: darkfuse.dnn)
             blobs, boxes ──────▲        └─▶ restore  put back into OpenCV 5    (public: darkfuse.cv2)
                                             darknet  AlexeyAB's darknet.py     (public: darkfuse.darknet)

The calls, shapes, orders and dtypes are those of OpenCV 4.14 and of AlexeyAB's `darknet.py`; the names
too, which is why they are not spelled as the rest of the house. numpy is imported where an array is touched;
OpenCV need not be installed. May import session, detect, media, graph and model. Start reading at
`net.Net.forward`.
"""
