"""The configuration that commands of the runtime image read in their pods."""
