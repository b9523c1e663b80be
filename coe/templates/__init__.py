"""Templates: manifests, rendering and instantiation."""
