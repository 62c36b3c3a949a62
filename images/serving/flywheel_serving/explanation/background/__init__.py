"""Methods for models without covers or means: columns that are not known have the values of rows that the version keeps."""
