"""What would happen: clusters written in a file or seen in a running one, and questions about them.

Pure, and on one form of cluster (``cluster_file``), so that what-if, comparison, capacity and pictures
answer the same way whether miniecs runs or not.
"""
