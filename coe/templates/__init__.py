"""Templates: their manifests, how they are rendered and instantiated."""
