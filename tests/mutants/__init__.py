"""Shows that tests fail when a rule is broken: `make mutants`."""
