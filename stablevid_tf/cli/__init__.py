"""The `stablevid` command."""
