"""What a user writes into a FeatureSet (`spec`), what is read from it (`status`), and how others name it (`pins`)."""
