"""The images that samples and courses name: pulled, or built as stand-ins from Debian packages.

Where no registry can be reached a cluster would have nothing to run. A stand-in carries the image's own tag,
so that task definitions stay as they are, and a label that says what it is.
"""
