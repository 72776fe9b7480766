//! Metrics of a scenario as formulas of its configuration.
