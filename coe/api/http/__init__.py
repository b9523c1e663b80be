"""The routes: `/graphql`, `/events` and `/audit/bundle`."""
