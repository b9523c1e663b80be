"""A small kubelet: it runs what the chart renders from the image that the Dockerfile builds.

No API server, no scheduler and no network policies: pods with their volumes, probes, ends and
roll-overs, under the rules of the kernel that a node has (runc, namespaces, seccomp).
"""
