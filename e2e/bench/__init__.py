"""How fast and how small, on real parts: each package here measures one program. README.md says what is measured and how."""
