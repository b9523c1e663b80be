"""What all types and root fields use: context, loaders, ids, pages, scalars, limits, errors."""
