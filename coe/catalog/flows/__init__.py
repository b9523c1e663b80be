"""Flows in the catalog: documents and manifests, drafts, checks and contents."""
