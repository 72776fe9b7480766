//! Hit rates of a real trace.
