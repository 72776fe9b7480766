//! Which worker gets a request: routing policies over stale views.
