"""Configuration: the schema, the systems' options, presets with overrides, differences between configurations."""
