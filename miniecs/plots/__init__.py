"""Pictures of clusters and of what happens to them, as SVG or PNG.

Apart from everything else because the plotting library is an optional extra: it is imported when a picture
is drawn, and whoever draws none need not have it.
"""
