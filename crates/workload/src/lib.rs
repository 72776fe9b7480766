//! Requests: trace readers and synthetic generators.
