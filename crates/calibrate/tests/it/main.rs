//! Tables, fits and scores, end to end.
